"""Full TensorRT's timing cache around a build, with a builder that only keeps account."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from vexkd.engines.cache import cache_file
from vexkd.engines.targets import Target
from vexkd.engines.tensorrt_flavour import Flavour
from vexkd.export.engine_build import _BuildError, _serialise

MESSAGES = SimpleNamespace(log=[("error", "no kernel")])
TARGET = Target("h100", "9.0")


class Cache:
    def __init__(self, content: bytes) -> None:
        self.content = content

    def serialize(self) -> bytes:
        return self.content


class Config:
    """Times one more tactic with every build."""

    def create_timing_cache(self, content: bytes) -> Cache:
        return Cache(content)

    def set_timing_cache(self, cache: Cache, ignore_mismatch: bool) -> None:
        assert not ignore_mismatch
        self.cache = cache

    def get_timing_cache(self) -> Cache:
        return self.cache


class Builder:
    def __init__(self, engine: bytes | None) -> None:
        self.engine = engine

    def create_builder_config(self) -> Config:
        return Config()

    def build_serialized_network(self, network: object, config: Config) -> bytes | None:
        assert config.profiling_verbosity == "detailed"  # type: ignore[attr-defined]
        config.cache.content += b"tactic;"
        return self.engine


def test_what_was_timed_is_kept_for_the_next_build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    trt = SimpleNamespace(ProfilingVerbosity=SimpleNamespace(DETAILED="detailed"))
    flavour = Flavour("tensorrt", "11.0.0.114", trt)
    file = cache_file("timing", flavour, "9.0")
    with pytest.raises(_BuildError, match="cannot build an engine for h100: no kernel"):
        _serialise(flavour, MESSAGES, Builder(None), None, TARGET)
    assert not file.exists()
    for builds in (1, 2):
        assert _serialise(flavour, MESSAGES, Builder(b"engine"), None, TARGET) == b"engine"
        assert file.read_bytes() == builds * b"tactic;"
