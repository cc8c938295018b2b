"""The C++ runtime's verdict on a bundle, through its C ABI."""

import ctypes
import os
from pathlib import Path

from vexkd.plugins.library import kernels

OK, NO_BUNDLE, DAMAGED, INCOMPATIBLE = 0, 20, 21, 22


def verify(path: Path | None) -> tuple[int, str]:
    """Status of vexkd_verify_bundle, and what it says where that is not OK."""
    library = kernels()
    library.vexkd_verify_bundle.argtypes = [ctypes.c_char_p]
    library.vexkd_last_message.restype = ctypes.c_char_p
    status = library.vexkd_verify_bundle(None if path is None else os.fsencode(path))
    return status, "" if status == OK else os.fsdecode(library.vexkd_last_message())
