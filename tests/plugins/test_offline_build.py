"""The libraries built without cmake, as ``make native`` does where there is none."""

import ctypes
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "plugins" / "harness" / "build_native.py"


def build(folder: Path, cuda: str, **environment: str) -> subprocess.CompletedProcess:
    command = [sys.executable, str(SCRIPT), str(folder), cuda]
    return subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, **environment})


def test_compilers_alone_build_both_libraries(tmp_path: Path) -> None:
    if shutil.which("c++") is None:
        pytest.skip("c++ is not on the PATH")
    done = build(tmp_path, "OFF")
    assert done.returncode == 0, done.stdout + done.stderr
    kernels = ctypes.CDLL(str(tmp_path / "libvexkd_kernels.so"))
    assert kernels.vexkd_has_cuda() == 0
    assert kernels.vexkd_nms_cuda and kernels.vexkd_bev_pool_cpu
    plugins = ctypes.CDLL(str(tmp_path / "libvexkd_plugins.so"))
    assert plugins.getCreators
    assert not hasattr(plugins, "vexkd_bev_pool_cpu")


def test_what_is_missing_is_said(tmp_path: Path) -> None:
    done = build(tmp_path, "ON", PATH="/nowhere")
    assert done.returncode == 1
    assert "nvcc is not on the PATH" in done.stderr
