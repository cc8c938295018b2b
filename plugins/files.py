"""Files that appear whole or not at all."""

import errno
import hashlib
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from vexkd.plugins.errors import UserError

_PARTIAL = ".partial-"
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""The disk, the user's share of it, or a limit on the size of files."""


class DiskFullError(UserError):
    """There is no room for a file."""

    def __init__(self, path: Path, reason: str, remedy: str = "try again") -> None:
        super().__init__(f"{path} cannot be written ({reason}); free space there and {remedy}")
        self.path, self.reason = path, reason


@contextmanager
def naming_when_full(path: Path) -> Iterator[None]:
    """Turn an error for want of space, which names no file, into one that names ``path``.

    Raises:
        DiskFullError: the block ran out of space.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in _FULL:
            raise
        raise DiskFullError(path, os.strerror(error.errno)) from error


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside ``path``; rename it to ``path`` when the block succeeds, else remove it.

    The content is on the disk before the name is: also a power cut leaves either the old file or the new one.

    Raises:
        DiskFullError: there is no room for the file; what stood under ``path`` still stands there.
    """
    with naming_when_full(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}{_PARTIAL}", suffix=path.suffix)
        os.close(handle)
        temporary = Path(name)
        temporary.chmod(0o644)
        try:
            yield temporary
            _flush(temporary)
            temporary.replace(path)
            with suppress(OSError):  # some file systems cannot flush a folder
                _flush(path.parent)
        finally:
            temporary.unlink(missing_ok=True)


def leftovers(folder: Path) -> list[Path]:
    """Temporary files of :func:`replacing` in a folder; those of a process that was killed stay for ever."""
    return list(folder.glob(f".*{_PARTIAL}*"))


def write_text(path: Path, text: str) -> None:
    """Write ``text`` to ``path`` atomically."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def sha256(path: Path) -> str:
    """SHA-256 of a file's content as 64 hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _flush(path: Path) -> None:
    """Bring a file's content, or a folder's names, onto the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
