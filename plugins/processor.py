"""The name of this machine's processor, for whatever prints a measured figure."""

import platform
from pathlib import Path


def processor_name() -> str:
    """The processor's model as Linux tells it, else what Python knows of it."""
    info = Path("/proc/cpuinfo")
    if info.is_file():
        for line in info.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return " ".join(line.partition(":")[2].split())
    return platform.processor() or platform.machine()
