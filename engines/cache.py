"""What TensorRT may use again, kept between processes in the user's cache folder; may be deleted at any time.

Full TensorRT has a timing cache, filled while it builds; TensorRT for RTX has a runtime cache of the kernels that it
compiles when an engine is first loaded. Both are worthless for another version or another kind of GPU.
"""

import logging
import os
from pathlib import Path
from typing import Any, Literal

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


class RuntimeCache:
    """What TensorRT for RTX compiles for an engine, from its file and back; other flavours compile nothing at run time.

    To be used while the engine's CUDA context is the current one.
    """

    def __init__(self, flavour: Flavour, engine: Any, compute_capability: str) -> None:
        self._file = cache_file("runtime", flavour, compute_capability)
        self._engine, self._cache = engine, None
        self._kept = b""
        if flavour.name == "tensorrt_rtx":
            self._config = engine.create_runtime_config()
            self._cache = self._config.create_runtime_cache()
            self._kept = read_cache(self._file)
            # TensorRT refuses one of another driver or GPU, and starts with an empty one then.
            if self._kept and not self._cache.deserialize(self._kept):
                logger.info("%s does not fit this machine and is made anew", self._file)
            self._config.set_runtime_cache(self._cache)

    def create_context(self) -> Any:
        """An execution context that uses the cache."""
        if self._cache is None:
            return self._engine.create_execution_context()
        return self._engine.create_execution_context(self._config)

    def keep(self) -> None:
        """Write what was compiled since; to be called after the first run, which is when all of it is there."""
        if self._cache is None:
            return
        content = bytes(self._cache.serialize())
        if content != self._kept:
            write_cache(self._file, content)
            self._kept = content
