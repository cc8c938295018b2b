"""Keyframes for studies."""

from pathlib import Path

import pytest

from vexkd.data.synth.generate import SynthConfig, generate


@pytest.fixture(scope="session")
def keyframes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Data root of three scenes, two for training and one for validation, of one keyframe each."""
    root = tmp_path_factory.mktemp("data") / "keyframes"
    generate(root, SynthConfig(scenes=3, seed=0, keyframes=1, image_size=(32, 48)))
    return root
