"""The kernels and their C ABI under sanitizers: builds and runs ``sanitize.cpp``."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parents[2]
CMAKE = shutil.which("cmake", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]))


@pytest.mark.skipif(CMAKE is None or shutil.which("c++") is None, reason="no CMake or no C++ compiler")
@pytest.mark.parametrize("sanitizers", ["address,undefined", "thread"])
def test_hostile_arguments_and_contents_harm_nothing(sanitizers: str, tmp_path: Path) -> None:
    options = (f"-DVEXKD_SANITIZE={sanitizers}", "-DVEXKD_CUDA=OFF", "--log-level=ERROR")
    configured = subprocess.run(
        [str(CMAKE), "-S", CHECKOUT, "-B", tmp_path, *options], capture_output=True, text=True, timeout=120
    )
    assert configured.returncode == 0, configured.stderr
    built = subprocess.run(
        [str(CMAKE), "--build", tmp_path, "--parallel", "2"], capture_output=True, text=True, timeout=600
    )
    if built.returncode != 0 and "cannot find" in built.stderr + built.stdout:
        pytest.skip(f"this compiler has no {sanitizers} sanitizer")
    assert built.returncode == 0, built.stdout[-3000:] + built.stderr[-3000:]
    ran = subprocess.run([tmp_path / "vexkd_sanitize", "60"], capture_output=True, text=True, timeout=300)
    assert ran.returncode == 0 and "0 failures" in ran.stdout, ran.stdout[-3000:] + ran.stderr[-6000:]
