"""The C++ runtime's verdict on a bundle, through its C ABI."""

import os
from pathlib import Path

from vexkd.engines.native_runtime import RuntimeRefusal, call

OK, NO_BUNDLE, DAMAGED, INCOMPATIBLE = 0, 20, 21, 22


def verify(path: Path | None) -> tuple[int, str]:
    """Status of vexkd_verify_bundle, and what it says where that is not OK."""
    try:
        call("verify_bundle", None if path is None else os.fsencode(path))
    except RuntimeRefusal as refusal:
        return refusal.status, str(refusal)
    return OK, ""
