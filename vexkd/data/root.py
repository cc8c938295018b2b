"""Opening a nuScenes-format data root: which version, which splits, which keyframes."""

import json
from functools import lru_cache
from pathlib import Path

from nuscenes.nuscenes import NuScenes
from nuscenes.utils.splits import create_splits_scenes

from vexkd.plugins.errors import UserError

TABLES = (
    "attribute",
    "calibrated_sensor",
    "category",
    "ego_pose",
    "instance",
    "log",
    "map",
    "sample",
    "sample_annotation",
    "sample_data",
    "scene",
    "sensor",
    "visibility",
)


def find_version(root: Path, version: str | None = None) -> str:
    """The table folder of a data root: ``version`` if given, else the only ``v1.0-*`` folder.

    Raises:
        UserError: the root or the folder is missing, or several versions could be meant.
    """
    if not root.is_dir():
        raise UserError(f"data root {root} is no folder; give the folder that holds v1.0-* and samples/")
    found = sorted(path.name for path in root.glob("v1.0-*") if path.is_dir())
    if version is not None:
        if version not in found:
            raise UserError(f"{root} has no version {version}, found: {', '.join(found) or 'none'}")
        return version
    if len(found) != 1:
        have = f"holds several versions ({', '.join(found)}); set data.version" if found else "holds no v1.0-* folder"
        raise UserError(f"data root {root} {have}")
    return found[0]


def open_root(root: Path, version: str | None = None) -> NuScenes:
    """Load all tables through the devkit.

    The last root opened is kept for the next dataset on it: the tables of full nuScenes take minutes and gigabytes.

    Raises:
        UserError: a table or map mask is missing or damaged; the message names the file.
    """
    version = find_version(root, version)
    stamps = tuple((path.name, path.stat().st_mtime_ns) for path in sorted((root / version).glob("*.json")))
    return _load(root, version, stamps)


@lru_cache(maxsize=1)
def _load(root: Path, version: str, stamps: tuple[tuple[str, int], ...]) -> NuScenes:
    """The tables; ``stamps`` are the files' times, so that a changed table is read again."""
    try:
        nusc = NuScenes(version, str(root), verbose=False)
    except (OSError, ValueError, KeyError, IndexError, TypeError, AttributeError, AssertionError) as error:
        _explain_tables(root, version)
        reason = f"{type(error).__name__} {error}"
        raise UserError(f"the tables of {root / version} do not fit together: {reason}") from error
    for table in TABLES:
        if not isinstance(getattr(nusc, table), list):
            _explain_tables(root, version)
    return nusc


def _explain_tables(root: Path, version: str) -> None:
    """Raise a UserError that names the first table or map mask with a fault of its own."""
    for table in TABLES:
        path = root / version / f"{table}.json"
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise UserError(f"table {path} cannot be read ({error.strerror})") from error
        except ValueError as error:
            raise UserError(f"table {path} is not valid JSON: {error}") from error
        if not isinstance(content, list):
            raise UserError(f"table {path} must hold a list of records, got {type(content).__name__}")
        if table == "map":
            _check_map_masks(root, path, content)


def split_scenes(nusc: NuScenes) -> dict[str, list[str]]:
    """Scene names per split: the devkit's splits, overlaid by the version's ``splits.json``, and ``all``.

    Raises:
        UserError: ``splits.json`` is no mapping from names to lists of scene names.
    """
    splits = dict(create_splits_scenes())
    path = Path(nusc.dataroot) / nusc.version / "splits.json"
    if path.is_file():
        try:
            custom = json.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise UserError(f"{path} is not valid JSON: {error}") from error
        if not isinstance(custom, dict) or not all(isinstance(scenes, list) for scenes in custom.values()):
            raise UserError(f"{path} must map split names to lists of scene names")
        splits.update(custom)
    splits["all"] = [scene["name"] for scene in nusc.scene]
    return splits


def split_counts(nusc: NuScenes) -> dict[str, int]:
    """Number of keyframes per split, for the splits that have any."""
    sizes = {scene["name"]: scene["nbr_samples"] for scene in nusc.scene}
    counts = {name: sum(sizes.get(scene, 0) for scene in scenes) for name, scenes in split_scenes(nusc).items()}
    return {name: count for name, count in counts.items() if count}


def split_tokens(nusc: NuScenes, split: str, scenes: int | None = None) -> list[str]:
    """Sample tokens of a split, scene by scene in time order; with ``scenes`` of its first so many scenes.

    Raises:
        UserError: no split of this name, none of its scenes is in the tables, or it has fewer than ``scenes``.
    """
    splits = split_scenes(nusc)
    have = ", ".join(f"{name} ({count})" for name, count in split_counts(nusc).items())
    if split not in splits:
        raise UserError(f"unknown split {split!r}; splits with keyframes in {nusc.dataroot}: {have}")
    wanted = set(splits[split])
    chosen = [scene for scene in nusc.scene if scene["name"] in wanted]
    if scenes is not None and scenes > len(chosen) > 0:
        have = f"split {split!r} has {len(chosen)} scenes in {nusc.dataroot}"
        raise UserError(f"data.train_scenes is {scenes}, but {have}; ask for no more than that")
    tokens = []
    for scene in chosen[:scenes]:
        token = scene["first_sample_token"]
        while token:
            tokens.append(token)
            token = nusc.get("sample", token)["next"]
    if not tokens:
        raise UserError(f"split {split!r} has no keyframe in {nusc.dataroot}; splits that have some: {have}")
    return tokens


def _check_map_masks(root: Path, table: Path, records: list[dict[str, str]]) -> None:
    if not records:
        raise UserError(f"table {table} is empty; the devkit needs one record with its mask file")
    for record in records:
        if not (root / record.get("filename", "?")).is_file():
            raise UserError(f"map mask {root / record.get('filename', '?')}, named in {table}, is missing")
