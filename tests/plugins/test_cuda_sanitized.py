"""The emulated CUDA kernels once more, in a process with AddressSanitizer and UndefinedBehaviorSanitizer."""

import os
import subprocess
import sys
from pathlib import Path

import pytest


def runtime(name: str) -> str:
    """Path of a sanitizer's runtime library of the default compiler."""
    try:
        done = subprocess.run(["c++", f"-print-file-name={name}"], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("no c++ compiler that knows -print-file-name")
    path = done.stdout.strip()
    if not Path(path).is_absolute():
        pytest.skip(f"the compiler has no {name}")
    return path


def test_the_emulated_kernels_stay_within_their_buffers() -> None:
    here = Path(__file__).parent
    tests = [str(here / f"test_cuda_{name}.py") for name in ("kernels", "nms", "prepare_images")]
    environment = {
        **{name: value for name, value in os.environ.items() if name != "PYTEST_XDIST_WORKER"},
        "VEXKD_SANITIZED_EMULATION": "1",
        "LD_PRELOAD": f"{runtime('libasan.so')} {runtime('libubsan.so')}",
        "ASAN_OPTIONS": "detect_leaks=0:detect_stack_use_after_return=0",
        "PYTHONMALLOC": "malloc",
    }
    # Without the tests that only repeat what the others do, at length.
    chosen = "emulated and not any_order and not prefix_sum"
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:xdist", "-k", chosen, *tests]
    done = subprocess.run(
        command, env=environment, cwd=here.parents[1], capture_output=True, text=True, check=False, timeout=600
    )
    assert done.returncode == 0, (done.stdout + done.stderr)[-6000:]
    assert " passed" in done.stdout
