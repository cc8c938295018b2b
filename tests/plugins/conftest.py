"""Where the CUDA kernels are tested: a GPU, and the emulation, which the workers of one run build once."""

import fcntl
import os
from pathlib import Path
from typing import Any

import pytest
from cuda_backends import FLAGS, Device, Emulated, load_emulate

from vexkd.plugins.library import has_cuda


def find_device() -> Device:
    torch = pytest.importorskip("torch")
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    if not has_cuda():
        pytest.skip("the kernels' library was built without CUDA")
    return Device()


@pytest.fixture(scope="session")
def device() -> Device:
    return find_device()


@pytest.fixture(scope="session")
def emulated_library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The emulation's library; the first worker that asks builds it, the others wait."""
    root = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        root = root.parent
    folder = root / "emulated"
    folder.mkdir(exist_ok=True)
    library = folder / "built"
    with (root / "emulated.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not library.exists():
            try:
                load_emulate().build(folder, flags=FLAGS).rename(library)
            except RuntimeError as error:
                if "_Float16" in str(error):
                    pytest.skip("the compiler has no _Float16: GCC has it from 12 on")
                raise
    return library


@pytest.fixture(scope="session", params=["emulated", pytest.param("device", marks=pytest.mark.gpu)])
def backend(request: pytest.FixtureRequest) -> Any:
    if request.param == "device":
        return find_device()
    return Emulated(request.getfixturevalue("emulated_library"))
