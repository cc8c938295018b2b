"""Fixtures every room shares."""

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Root of one real nuScenes keyframe; ``VEXKD_REAL_DATA`` names it, else a folder beside the checkout."""
    beside = Path(__file__).parents[2] / "shared" / "data" / "nuscenes-one"
    root = Path(os.environ.get("VEXKD_REAL_DATA", beside))
    if not (root / "v1.0-mini").is_dir():
        pytest.skip(f"no real nuScenes keyframe at {root}; set VEXKD_REAL_DATA")
    return root
