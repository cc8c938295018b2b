"""A few synthetic keyframes on disk."""

from pathlib import Path

import pytest

from vexkd.data.synth.generate import SynthConfig, generate


@pytest.fixture(scope="session")
def keyframes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Data root of two scenes, one for training and one for validation, of two keyframes with tiny images."""
    root = tmp_path_factory.mktemp("data") / "keyframes"
    generate(root, SynthConfig(scenes=2, seed=1, keyframes=2, image_size=(32, 48)))
    return root
