"""What a run was made with: the machine and the commit, for metrics.json."""

import os
import platform
import subprocess
from pathlib import Path

import torch

from vexkd.plugins.processor import processor_name


def machine() -> dict[str, str | int]:
    """Processor, its cores, the accelerator if there is one, and the versions that decide results."""
    accelerator = torch.cuda.get_device_name() if torch.cuda.is_available() else "none"
    return {
        "processor": processor_name(),
        "cores": os.cpu_count() or 1,
        "accelerator": accelerator,
        "python": platform.python_version(),
        "torch": torch.__version__,
    }


def git_commit() -> str | None:
    """The commit of the checkout this package runs from, with ``-dirty`` where it was changed; None outside of one."""
    file = Path(__file__).resolve()
    try:
        # An installed package may lie inside somebody else's checkout.
        _git("ls-files", "--error-unmatch", file.name, at=file.parent)
        return _git("describe", "--always", "--dirty", "--abbrev=40", "--exclude=*", at=file.parent)
    except (OSError, subprocess.CalledProcessError):
        return None


def _git(*arguments: str, at: Path) -> str:
    return subprocess.run(["git", *arguments], cwd=at, capture_output=True, text=True, check=True).stdout.strip()
