"""Fixtures of tests that train."""

from pathlib import Path

import pytest
from tiny_runs import Keyframes


@pytest.fixture
def in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let :func:`vexkd.training.train.train` run on the keyframes above, its evaluation reduced to a fixed metric."""
    monkeypatch.setattr("vexkd.training.train.open_dataset", lambda *args: Keyframes())
    monkeypatch.setattr("vexkd.training.train.evaluate_model", lambda *args, **kwargs: {"mAP": 0.25})


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """A run folder to be written."""
    return tmp_path / "run"
