"""Where a C++ program finds the CMake package and ONNX Runtime's library."""

import ctypes
import shutil
import subprocess
from importlib.machinery import ModuleSpec
from pathlib import Path

import pytest

from vexkd.cli.app import main
from vexkd.engines import native
from vexkd.engines.native import cmake_prefix, onnxruntime_library
from vexkd.plugins.errors import UserError
from vexkd.plugins.library import find_library


def printed(command: str, capsys: pytest.CaptureFixture[str]) -> str:
    with pytest.raises(SystemExit) as end:
        main([command])
    assert end.value.code == 0
    return capsys.readouterr().out.strip()


def test_the_library_is_onnxruntimes(capsys: pytest.CaptureFixture[str]) -> None:
    found = onnxruntime_library()
    assert ctypes.CDLL(str(found)).OrtGetApiBase
    assert printed("onnxruntime-path", capsys) == str(found)


def test_the_newest_library_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "capi").mkdir()
    for version in ("1.9.0", "1.32.0", "1.20.1"):
        (tmp_path / "capi" / f"libonnxruntime.so.{version}").touch()
    spec = ModuleSpec("onnxruntime", None, origin=str(tmp_path / "__init__.py"))
    monkeypatch.setattr(native, "find_spec", lambda name: spec)
    assert onnxruntime_library().name == "libonnxruntime.so.1.32.0"


def test_a_missing_onnxruntime_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(native, "find_spec", lambda name: None)
    with pytest.raises(UserError, match="onnxruntime is not installed here; install it with: pip install onnxruntime"):
        onnxruntime_library()
    spec = ModuleSpec("onnxruntime", None, origin=str(tmp_path / "__init__.py"))
    monkeypatch.setattr(native, "find_spec", lambda name: spec)
    with pytest.raises(UserError, match=r"capi holds no libonnxruntime.so, expected in onnxruntime 1.20 or newer"):
        onnxruntime_library()


def test_a_tree_without_the_package_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(native, "native_prefix", lambda: tmp_path)
    with pytest.raises(UserError, match="holds no CMake package, because it was built without cmake; install cmake"):
        cmake_prefix()


def test_the_prefix_is_printed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> None:
    package = tmp_path / "lib" / "cmake" / "vexkd"
    package.mkdir(parents=True)
    (package / "vexkdConfig.cmake").touch()
    monkeypatch.setattr(native, "native_prefix", lambda: tmp_path)
    assert printed("cmake-dir", capsys) == str(tmp_path)


@pytest.mark.skipif(shutil.which("readelf") is None, reason="readelf is not on the PATH")
def test_the_library_calls_its_own_functions() -> None:
    """A program links one copy and TensorRT loads a bundle's: without this the second calls the first one's kernels."""
    command = ["readelf", "--dynamic", "--wide", str(find_library())]
    assert "SYMBOLIC" in subprocess.run(command, capture_output=True, text=True, check=True).stdout
