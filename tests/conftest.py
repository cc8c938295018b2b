"""Fixtures every room shares."""

import os
from pathlib import Path

import pytest

# Test workers share the cores: threads that wait for each other across processes cost far more than they bring. This
# stands before anything imports torch, which reads it once; processes that tests start inherit it.
os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Root of one real nuScenes keyframe; ``VEXKD_REAL_DATA`` names it, else a folder beside the checkout."""
    beside = Path(__file__).parents[2] / "shared" / "data" / "nuscenes-one"
    root = Path(os.environ.get("VEXKD_REAL_DATA", beside))
    if not (root / "v1.0-mini").is_dir():
        pytest.skip(f"no real nuScenes keyframe at {root}; set VEXKD_REAL_DATA")
    return root


@pytest.fixture
def model_as_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file where every ONNX Runtime session of the test leaves its model as it runs it."""
    import onnxruntime

    file, plain = tmp_path / "as-run.onnx", onnxruntime.SessionOptions

    def options() -> onnxruntime.SessionOptions:
        made = plain()
        made.optimized_model_filepath = str(file)
        return made

    monkeypatch.setattr(onnxruntime, "SessionOptions", options)
    return file
