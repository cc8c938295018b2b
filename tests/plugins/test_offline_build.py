"""The library built without cmake, as ``make native`` does where there is none."""

import ctypes
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from vexkd.plugins.library import LIBRARY

SCRIPT = Path(__file__).parents[2] / "plugins" / "harness" / "build_native.py"


def build(folder: Path, cuda: str, **environment: str) -> subprocess.CompletedProcess:
    command = [sys.executable, str(SCRIPT), str(folder), cuda]
    return subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, **environment})


def test_compilers_alone_build_the_library(tmp_path: Path) -> None:
    if shutil.which("c++") is None:
        pytest.skip("c++ is not on the PATH")
    done = build(tmp_path, "OFF")
    assert done.returncode == 0, done.stdout + done.stderr
    library = ctypes.CDLL(str(tmp_path / "lib" / LIBRARY))
    assert library.vexkd_has_cuda() == 0
    assert library.vexkd_nms_cuda and library.vexkd_bev_pool_cpu and library.getCreators


def test_what_is_missing_is_said(tmp_path: Path) -> None:
    done = build(tmp_path, "ON", PATH="/nowhere")
    assert done.returncode == 1
    assert "nvcc is not on the PATH" in done.stderr
