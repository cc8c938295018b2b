"""A bundle is a folder ``NAME.vexkd/``: a manifest, the ONNX model, engines and the plugin library they need.

Readers check the manifest before they open anything else. Its ``sha256`` covers the manifest's own bytes (with the 64
digits of the field itself read as zeros), and ``files`` covers every other file, so one changed byte is noticed.
The C++ runtime reads bundles by the same rules (``cpp/src/bundle.cpp``).
"""

import hashlib
import json
import math
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from vexkd.engines.manifest import MANIFEST, MODEL, NO_DIGEST, PLUGIN_LIBRARY, SCHEMA_VERSION, Manifest, distinct
from vexkd.plugins.errors import UserError
from vexkd.plugins.files import sha256, write_text

MAX_MANIFEST_BYTES = 2**20
MAX_FILE_BYTES = 2**31 - 1
"""What ONNX's format allows for a model, and more than any engine of ours."""


@dataclass(frozen=True)
class Bundle:
    """A bundle whose manifest and files were verified."""

    path: Path
    manifest: Manifest

    @property
    def name(self) -> str:
        """Folder name without its suffix."""
        return self.path.resolve().name.removesuffix(".vexkd")

    @property
    def model(self) -> Path:
        """The ONNX model."""
        return self.path / MODEL

    @property
    def plugin_library(self) -> Path:
        """The plugin library the engines were built with."""
        return self.path / PLUGIN_LIBRARY


def read_bundle(path: Path) -> Bundle:
    """Read and verify a bundle: its manifest first, then the SHA-256 of every file.

    Raises:
        UserError: no bundle there, a manifest of another schema version, a changed or missing file; the message
            names the command that mends it.
    """
    try:
        return _read_bundle(path)
    except OSError as error:
        reason = os.strerror(error.errno or 0)
        raise UserError(f"{error.filename or path} cannot be read ({reason}); check the path and its rights") from error


def _read_bundle(path: Path) -> Bundle:
    file = path / MANIFEST
    if not file.is_file():
        raise UserError(f"{path} is no bundle: it has no {MANIFEST}; make one with: vexkd export RUN --out {path}")
    _check_inside(path, MANIFEST, _again(path))
    with file.open("rb") as stream:
        raw = stream.read(MAX_MANIFEST_BYTES + 1)
    if len(raw) > MAX_MANIFEST_BYTES:
        raise UserError(f"{file} has more than {MAX_MANIFEST_BYTES} bytes, so it is no manifest; {_again(path)}")
    manifest = _parse(path, raw)
    if _digest(raw.decode("utf-8"), manifest.sha256) != manifest.sha256:
        raise UserError(f"{file} was changed after it was written; {_mend(path, manifest)}")
    for name, digest in manifest.files.items():
        _check_file(path, name, digest, manifest)
    return Bundle(path, manifest)


def write_manifest(folder: Path, manifest: Manifest) -> Manifest:
    """Write ``manifest.json`` with its own digest filled in, and return the manifest as written."""
    blank = manifest.model_copy(update={"sha256": NO_DIGEST})
    signed = manifest.model_copy(update={"sha256": hashlib.sha256(_text(blank).encode()).hexdigest()})
    write_text(folder / MANIFEST, _text(signed))
    return signed


def _parse(path: Path, raw: bytes) -> Manifest:
    again = _again(path)
    try:
        content = _load_json(raw)
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path / MANIFEST} is not valid JSON ({error}); {again}") from error
    version = content.get("schema_version") if isinstance(content, dict) else None
    if not isinstance(version, int) or isinstance(version, bool):
        raise UserError(f"{path / MANIFEST} names no schema version, so it is no bundle's manifest; {again}")
    if version > SCHEMA_VERSION:
        raise UserError(
            f"{path} has manifest schema {version}, this VeXKD reads {SCHEMA_VERSION}: it was written by a newer one; "
            f"update with: pip install --upgrade vexkd"
        )
    if version < SCHEMA_VERSION:
        raise UserError(f"{path} has manifest schema {version}, this VeXKD reads {SCHEMA_VERSION}; {again}")
    try:
        return Manifest.model_validate(content)
    except ValidationError as error:
        details = "; ".join(
            f"{'.'.join(str(part) for part in detail['loc'])}: {detail['msg'].removeprefix('Value error, ')}".lstrip(
                ": "
            )
            for detail in error.errors()
        )
        raise UserError(f"{path / MANIFEST} is damaged: {details}; {again}") from error


def _load_json(raw: bytes) -> Any:
    """What JSON itself allows and no more: no NaN, no infinity, no key twice, no half of a surrogate pair."""

    def finite(kind: Callable[[str], Any]) -> Callable[[str], Any]:
        def read(digits: str) -> Any:
            if not math.isfinite(float(digits)):
                raise ValueError(f"the number {digits[:20]} is out of range")
            return kind(digits)

        return read

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        content = dict(pairs)
        if len(content) < len(pairs):
            distinct(tuple(key for key, _ in pairs))
        return content

    content = json.loads(
        raw.decode("utf-8"),
        parse_constant=finite(float),
        parse_float=finite(float),
        parse_int=finite(int),
        object_pairs_hook=unique,
    )
    json.dumps(content, ensure_ascii=False).encode("utf-8")
    return content


def _check_file(path: Path, name: str, digest: str, manifest: Manifest) -> None:
    file = path / name
    if not file.is_file():
        raise UserError(f"{file} is missing from the bundle; {_mend(path, manifest)}")
    _check_inside(path, name, _mend(path, manifest))
    if file.stat().st_size > MAX_FILE_BYTES:
        raise UserError(f"{file} was changed: it has more than {MAX_FILE_BYTES} bytes; {_mend(path, manifest)}")
    found = sha256(file)
    if found != digest:
        reason = f"its sha256 begins {found[:12]}, the manifest says {digest[:12]}"
        raise UserError(f"{file} was changed: {reason}; {_mend(path, manifest)}")


def remake(manifest: Manifest) -> str:
    """The command that makes such a bundle again, without its output folder."""
    parts = [f"vexkd export {manifest.source.run}"]
    parts += ["--fp16"] if manifest.precision == "fp16" else []
    parts += ["--accept"] if manifest.accuracy is not None and manifest.accuracy.accepted else []
    parts += [f"--target {engine.target}" for engine in manifest.engines]
    return " ".join(parts)


def _check_inside(path: Path, name: str, mend: str) -> None:
    if not (path / name).resolve().is_relative_to(path.resolve()):
        raise UserError(f"{path / name} is a link that leaves the bundle; {mend}")


def _again(path: Path) -> str:
    return f"export the run again with: vexkd export RUN --out {path}"


def _mend(path: Path, manifest: Manifest) -> str:
    return f"export it again with: {remake(manifest)} --out {path}"


def _text(manifest: Manifest) -> str:
    return json.dumps(manifest.model_dump(mode="json"), indent=2, ensure_ascii=False) + "\n"


def _digest(text: str, written: str) -> str:
    return hashlib.sha256(text.replace(f'"sha256": "{written}"', f'"sha256": "{NO_DIGEST}"').encode()).hexdigest()
