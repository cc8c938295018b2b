"""A small synthetic data root, made once."""

from pathlib import Path

import pytest

pytest.importorskip("nuscenes", reason="nuscenes-devkit is not installed")

from vexkd.data.synth.generate import SynthConfig, generate


@pytest.fixture(scope="session")
def synth_config() -> SynthConfig:
    """What ``synth`` is made of: two scenes (one train, one val) of three keyframes."""
    return SynthConfig(scenes=2, seed=0, keyframes=3, image_size=(135, 240))


@pytest.fixture(scope="session")
def synth(tmp_path_factory: pytest.TempPathFactory, synth_config: SynthConfig) -> Path:
    """A synthetic data root of ``synth_config``."""
    root = tmp_path_factory.mktemp("data") / "synth"
    generate(root, synth_config)
    return root


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One scene of two keyframes with postage-stamp images, for tests that copy and break it."""
    root = tmp_path_factory.mktemp("data") / "tiny"
    generate(root, SynthConfig(scenes=1, seed=3, keyframes=2, image_size=(32, 48)))
    return root
