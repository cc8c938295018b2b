"""Caches in the user's folder, with a TensorRT that only keeps account."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from vexkd.engines.cache import RuntimeCache, cache_file, cache_folder, read_cache, write_cache
from vexkd.engines.tensorrt_flavour import Flavour

RTX = Flavour("tensorrt_rtx", "1.7.1.116", None)
FULL = Flavour("tensorrt", "11.0.0.114", None)


class Cache:
    """Takes what begins with ``good``; compiles ``, more`` on the first run."""

    def __init__(self) -> None:
        self.content = b"good"

    def deserialize(self, blob: bytes) -> bool:
        if not blob.startswith(b"good"):
            return False
        self.content = blob
        return True

    def serialize(self) -> bytes:
        return self.content


class Config:
    def __init__(self, cache: Cache) -> None:
        self.cache, self.used = cache, None

    def create_runtime_cache(self) -> Cache:
        return self.cache

    def set_runtime_cache(self, cache: Cache) -> None:
        self.used = cache


def engine(cache: Cache) -> SimpleNamespace:
    return SimpleNamespace(
        create_runtime_config=lambda: Config(cache), create_execution_context=lambda config=None: config
    )


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "vexkd"


def test_a_cache_is_one_of_flavour_version_and_capability(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert cache_file("runtime", RTX, "8.9") == home / "tensorrt_rtx-1.7.1.116-sm89.runtime"
    assert cache_file("timing", FULL, "12.0") == home / "tensorrt-11.0.0.114-sm120.timing"
    monkeypatch.setenv("XDG_CACHE_HOME", "relative/is/ignored")
    assert cache_folder() == Path.home() / ".cache" / "vexkd"


def test_what_is_kept_is_read_again_and_a_folder_that_cannot_be_written_is_no_error(home: Path) -> None:
    file = home / "a.timing"
    assert read_cache(file) == b""
    write_cache(file, b"times")
    assert read_cache(file) == b"times" and list(home.iterdir()) == [file]
    file.unlink()
    home.rmdir()
    home.write_text("a file where the folder should be")
    write_cache(file, b"times")
    assert read_cache(file) == b""


def test_what_was_compiled_is_there_for_the_next_process(home: Path) -> None:
    first = Cache()
    session = RuntimeCache(RTX, engine(first), "8.9")
    assert session.create_context().used is first
    first.content += b", more"
    session.keep()
    (file,) = home.iterdir()
    assert file.read_bytes() == b"good, more"
    second = Cache()
    session = RuntimeCache(RTX, engine(second), "8.9")
    assert second.content == b"good, more"
    stamp = file.stat().st_mtime_ns
    session.keep()
    assert file.stat().st_mtime_ns == stamp, "nothing new was compiled"


def test_a_cache_of_another_machine_is_made_anew(home: Path) -> None:
    file = cache_file("runtime", RTX, "8.9")
    write_cache(file, b"of another driver")
    cache = Cache()
    RuntimeCache(RTX, engine(cache), "8.9").keep()
    assert file.read_bytes() == b"good"


def test_full_tensorrt_has_none(home: Path) -> None:
    session = RuntimeCache(FULL, engine(Cache()), "8.9")
    assert session.create_context() is None
    session.keep()
    assert not home.exists()
