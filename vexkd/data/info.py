"""What a data root holds, what it lacks, and what in it is damaged."""

from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from nuscenes.eval.detection.utils import category_to_detection_name
from nuscenes.nuscenes import NuScenes

from vexkd.classes import CAMERAS, DETECTION_CLASSES
from vexkd.data.map_labels import MapLabels
from vexkd.data.root import open_root, split_counts, split_tokens
from vexkd.data.scan import LIDAR, Damage, scan

SWEEPS = 9
"""Older sweeps that are looked at; as many as a default config reads."""


@dataclass(frozen=True)
class DataInfo:
    """A data root at a glance.

    Attributes:
        root: its folder.
        version: its table folder.
        scenes: number of scenes.
        keyframes: number of keyframes.
        files: number of sensor files per channel, keyframes and sweeps.
        boxes: per detection class, annotated boxes and those with at least one LiDAR point.
        other_categories: boxes of categories that belong to no detection class.
        splits: keyframes per split.
        locations: per map location, whether its map expansion is there.
        missing: parts that are not there and what that means.
        damaged: keyframes that cannot be loaded.
    """

    root: str
    version: str
    scenes: int
    keyframes: int
    files: dict[str, int]
    boxes: dict[str, tuple[int, int]]
    other_categories: dict[str, int]
    splits: dict[str, int]
    locations: dict[str, bool]
    missing: list[str]
    damaged: list[Damage]

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        content = asdict(self)
        content["boxes"] = {name: {"boxes": count, "with_points": hit} for name, (count, hit) in self.boxes.items()}
        return content


def examine(root: Path, version: str | None = None, decode: bool = False) -> DataInfo:
    """Look through a data root.

    Args:
        root: its folder.
        version: its table folder; by default the only one.
        decode: read and decode every file instead of only its size and ends.

    Raises:
        UserError: the root or one of its tables cannot be read.
    """
    nusc = open_root(root, version)
    files = Counter(record["channel"] for record in nusc.sample_data)
    boxes = {name: (0, 0) for name in DETECTION_CLASSES}
    others: Counter[str] = Counter()
    for annotation in nusc.sample_annotation:
        name = category_to_detection_name(annotation["category_name"])
        if name is None:
            others[annotation["category_name"]] += 1
        else:
            count, hit = boxes[name]
            boxes[name] = (count + 1, hit + (annotation["num_lidar_pts"] > 0))
    maps = MapLabels(root)
    locations = {name: maps.has(name) for name in sorted({log["location"] for log in nusc.log})}
    tokens = split_tokens(nusc, "all")
    return DataInfo(
        root=str(root),
        version=nusc.version,
        scenes=len(nusc.scene),
        keyframes=len(nusc.sample),
        files=dict(sorted(files.items())),
        boxes=boxes,
        other_categories=dict(others),
        splits=split_counts(nusc),
        locations=locations,
        missing=_missing(nusc, files, boxes, locations),
        damaged=scan(nusc, tokens, images=True, sweeps=SWEEPS, decode=decode),
    )


def _missing(
    nusc: NuScenes, files: Counter[str], boxes: dict[str, tuple[int, int]], locations: dict[str, bool]
) -> list[str]:
    missing = [f"no {channel}" for channel in (LIDAR, *CAMERAS) if not files[channel]]
    if not any(not record["is_key_frame"] for record in nusc.sample_data if record["channel"] == LIDAR):
        missing.append("no LiDAR sweeps between keyframes: points come from the keyframe and older keyframes alone")
    if not nusc.sample_annotation:
        missing.append("no annotations: neither training nor evaluation is possible")
    elif absent := [name for name, (count, _) in boxes.items() if not count]:
        missing.append(f"no boxes of {', '.join(absent)}")
    if not nusc.attribute:
        missing.append("no attributes: the attribute error of NDS counts as 1")
    for location, there in locations.items():
        if not there:
            missing.append(f"no maps/expansion/{location}.json: no map labels there, so no segmentation")
    return missing
