"""Which TensorRT is there, and the trap in the RTX one's wheel."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from vexkd.engines import tensorrt_flavour
from vexkd.engines.tensorrt_flavour import Messages, is_installed, load_flavour, load_plugins
from vexkd.plugins.errors import UserError
from vexkd.plugins.library import find_library

ROOT = Path(__file__).parents[2]
NEEDS_RTX = pytest.mark.skipif(not is_installed("tensorrt_rtx"), reason="tensorrt-rtx is not installed")


def test_a_flavour_that_is_not_there_names_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tensorrt_flavour, "is_installed", lambda name: False)
    monkeypatch.setattr(tensorrt_flavour, "_loaded", {})
    with pytest.raises(UserError, match=r"tensorrt_rtx is not installed; install it with: pip install 'vexkd\[rtx\]'"):
        load_flavour("tensorrt_rtx")


def test_an_empty_package_of_nvidias_name_is_noticed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "tensorrt.py").write_text("__version__ = '0.0.1'\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(tensorrt_flavour, "_loaded", {})
    monkeypatch.delitem(sys.modules, "tensorrt", raising=False)
    with pytest.raises(UserError, match="tensorrt is installed but cannot be loaded"):
        load_flavour("tensorrt")
    monkeypatch.delitem(sys.modules, "tensorrt", raising=False)


@NEEDS_RTX
def test_the_rtx_flavour_takes_our_plugins() -> None:
    flavour = load_flavour("tensorrt_rtx")
    assert flavour.version[0].isdigit()
    load_plugins(flavour, find_library())
    load_plugins(flavour, find_library())
    registry = flavour.trt.get_plugin_registry()
    names = ("Voxelize", "PillarMax", "BevPool", "FrustumIndex")
    assert all(registry.get_creator(name, "1", "vexkd") for name in names)


@NEEDS_RTX
def test_a_library_that_is_none_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    library = tmp_path / "libnothing.so"
    library.write_bytes(b"no library")
    monkeypatch.setattr(tensorrt_flavour, "_libraries", {})
    with pytest.raises(UserError, match=r"takes no plugins from .*libnothing\.so; build it with: make native"):
        load_plugins(load_flavour("tensorrt_rtx"), library)


@NEEDS_RTX
def test_a_copy_of_the_library_serves_and_another_one_is_refused(tmp_path: Path) -> None:
    flavour = load_flavour("tensorrt_rtx")
    load_plugins(flavour, find_library())
    load_plugins(flavour, Path(shutil.copy(find_library(), tmp_path / "libcopy.so")))
    other = tmp_path / "libother.so"
    other.write_bytes(find_library().read_bytes() + b"\0")
    with pytest.raises(UserError, match="differs from the plugin library that this process already uses"):
        load_plugins(flavour, other)


@NEEDS_RTX
def test_the_logger_keeps_what_is_loud() -> None:
    flavour = load_flavour("tensorrt_rtx")
    messages = Messages(flavour)
    severity = flavour.trt.ILogger.Severity
    messages.logger.log(severity.VERBOSE, "quiet")
    assert messages.last() == "no reason given"
    messages.logger.log(severity.ERROR, "broken\n  node")
    assert messages.last() == "broken node"


@NEEDS_RTX
def test_importing_the_package_too_early_is_an_error_and_no_crash() -> None:
    program = """
import tensorrt_rtx
from vexkd.engines.tensorrt_flavour import load_flavour
load_flavour("tensorrt_rtx")
"""
    result = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False, timeout=120
    )
    links_of_the_wheel = list(Path(sys.prefix).rglob("tensorrt_rtx_libs/libtensorrt_rtx.so"))
    if links_of_the_wheel:
        assert result.returncode == 0, result.stderr
    else:
        assert result.returncode == 1
        assert "was imported before vexkd.engines.tensorrt_flavour" in result.stderr


@NEEDS_RTX
def test_the_wheels_folder_stays_as_it_is_and_the_links_go_with_the_process(tmp_path: Path) -> None:
    program = """
import importlib.util, pathlib, tempfile
from vexkd.engines.tensorrt_flavour import load_flavour
wheel = pathlib.Path(importlib.util.find_spec("tensorrt_rtx_libs").origin).parent
before = sorted(wheel.iterdir())
load_flavour("tensorrt_rtx")
assert [path for path in sorted(wheel.iterdir()) if path.name != "__pycache__"] == [
    path for path in before if path.name != "__pycache__"
]
(links,) = pathlib.Path(tempfile.gettempdir()).glob("vexkd-tensorrt-rtx-*")
assert (links / "libtensorrt_rtx.so").exists()
"""
    result = subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        env={**os.environ, "TMPDIR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert result.returncode == 0, result.stderr
    assert not list(tmp_path.iterdir())
