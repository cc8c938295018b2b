"""A study's folder: whose it is, which data it is about, and that one process works in it at a time."""

import fcntl
import hashlib
import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from nuscenes.nuscenes import NuScenes

from vexkd.ablate.plan import PlannedRun
from vexkd.data.root import open_root, split_tokens
from vexkd.plugins.errors import UserError
from vexkd.plugins.files import sha256, write_text

MARKER = "study.json"
LOCK = ".lock"
IDENTIFYING = ("scene", "sample", "calibrated_sensor")
"""Tables that tell data sets apart."""


def describe_data(run: PlannedRun) -> dict[str, Any]:
    """The data set of a run, its scenes, and a digest of the tables that tell it from others."""
    data = run.config.data
    nusc = open_root(data.root, data.version)
    folder = Path(nusc.dataroot) / nusc.version
    digests = "".join(sha256(folder / f"{table}.json") for table in IDENTIFYING)
    return {
        "root": str(data.root),
        "version": nusc.version,
        "digest": hashlib.sha256(digests.encode()).hexdigest(),
        "train": _part(nusc, data.train_split, data.train_scenes),
        "val": _part(nusc, data.val_split),
    }


def _part(nusc: NuScenes, split: str, limit: int | None = None) -> dict[str, Any]:
    """A split, or its first scenes up to a limit, with the number of scenes and keyframes."""
    tokens = split_tokens(nusc, split, limit)
    scenes = {nusc.get("sample", token)["scene_token"] for token in tokens}
    return {"split": split, "scenes": len(scenes), "keyframes": len(tokens)}


def check_folder(out: Path, data: dict[str, Any]) -> None:
    """Refuse a folder that holds something else, or a study of other data.

    Raises:
        UserError: what it holds.
    """
    if not out.exists() or (out.is_dir() and not [path for path in out.iterdir() if path.name != LOCK]):
        return
    if not (out / MARKER).is_file():
        raise UserError(f"{out} holds something else than a study of vexkd ablate; give another --out")
    known = json.loads((out / MARKER).read_text(encoding="utf-8"))
    if known["digest"] != data["digest"]:
        raise UserError(
            f"{out} holds a study of {known['root']} ({known['version']}), and --data {data['root']} "
            f"({data['version']}) has other keyframes; give another --out"
        )


@contextmanager
def working_in(out: Path, data: dict[str, Any], tell: Callable[[str], None]) -> Iterator[None]:
    """Mark the folder as this study's and hold its lock, which trainings inherit: the last of them gives it back."""
    out.mkdir(parents=True, exist_ok=True)
    handle = os.open(out / LOCK, os.O_RDWR | os.O_CREAT, 0o644)
    os.set_inheritable(handle, True)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            tell(f"waiting: another ablation, or a training that one left behind, still works in {out}")
            fcntl.flock(handle, fcntl.LOCK_EX)
        write_text(out / MARKER, json.dumps(data, indent=2) + "\n")
        yield
    finally:
        os.close(handle)
