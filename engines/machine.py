"""The machine a figure was measured on."""

import os
import platform
from importlib.metadata import PackageNotFoundError, version

from pydantic import BaseModel, ConfigDict

from vexkd.engines.gpu import find_gpus
from vexkd.plugins.processor import processor_name

PACKAGES = ("vexkd", "numpy", "onnxruntime", "onnxruntime-gpu", "tensorrt", "tensorrt-rtx", "pycuda", "torch")


class Machine(BaseModel):
    """Names and sizes; what is not known is left out."""

    model_config = ConfigDict(frozen=True)

    cpu: str
    cores: int
    """Logical cores this process may use."""
    memory_gib: float
    gpus: tuple[str, ...]
    system: str
    python: str
    packages: dict[str, str]

    def line(self) -> str:
        """One line for the head of a table."""
        gpus = ", ".join(self.gpus) or "no GPU"
        return f"{self.cpu}, {self.cores} cores, {self.memory_gib:.0f} GiB, {gpus}; {self.system}, Python {self.python}"


def describe_machine() -> Machine:
    """What this process runs on."""
    return Machine(
        cpu=processor_name(),
        cores=len(os.sched_getaffinity(0)),
        memory_gib=round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        gpus=tuple(f"{gpu.name} ({gpu.compute_capability}, {gpu.memory_mib} MiB)" for gpu in find_gpus()),
        system=f"{platform.system()} {platform.machine()}",
        python=platform.python_version(),
        packages={name: found for name in PACKAGES if (found := package_version(name)) is not None},
    )


def package_version(name: str) -> str | None:
    """Version of an installed distribution; nothing is imported."""
    try:
        return version(name)
    except PackageNotFoundError:
        return None
