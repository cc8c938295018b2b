"""What TensorRT may use again, kept between processes in the user's cache folder; may be deleted at any time.

Full TensorRT has a timing cache, filled while it builds; TensorRT for RTX has a runtime cache of the kernels that it
compiles when an engine is first loaded. Both are worthless for another version or another kind of GPU.
"""

import logging
import os
from pathlib import Path
from typing import Literal

from vexkd.engines.tensorrt_flavour import Flavour
from vexkd.plugins.errors import UserError
from vexkd.plugins.files import replacing

logger = logging.getLogger(__name__)

Kind = Literal["timing", "runtime"]


def cache_folder() -> Path:
    """``vexkd`` in ``XDG_CACHE_HOME``, which is ``~/.cache`` where it is not set."""
    home = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(home) if os.path.isabs(home) else Path.home() / ".cache") / "vexkd"


def cache_file(kind: Kind, flavour: Flavour, compute_capability: str) -> Path:
    """The file of a cache, of one flavour and version of TensorRT and one kind of GPU."""
    gpu = f"sm{compute_capability.replace('.', '')}"
    return cache_folder() / f"{flavour.name}-{flavour.version}-{gpu}.{kind}"


def read_cache(file: Path) -> bytes:
    """What was kept, empty if nothing was or it cannot be read."""
    try:
        return file.read_bytes()
    except OSError:
        return b""


def write_cache(file: Path, content: bytes) -> None:
    """Keep a cache, whole or not at all; that it cannot be kept is no error."""
    try:
        with replacing(file) as temporary:
            temporary.write_bytes(content)
    except (OSError, UserError) as error:
        logger.info("%s is not kept: %s", file, error)
