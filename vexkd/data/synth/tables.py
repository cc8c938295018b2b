"""nuScenes' 13 tables: tokens, the fixed tables, and the records of one scene."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vexkd.classes import CAMERAS
from vexkd.data.boxes import quaternion
from vexkd.data.synth.motion import rotation
from vexkd.data.synth.objects import CATEGORIES
from vexkd.data.synth.rig import LIDAR, Mount
from vexkd.data.synth.scene import Scene

Record = dict[str, Any]
Floats = NDArray[np.float64]

ANNOTATED_RANGE = 80.0
"""Objects farther from the ego are not annotated, metres."""

_OTHER_CATEGORIES = (
    "human.pedestrian.child", "human.pedestrian.construction_worker", "human.pedestrian.personal_mobility",
    "human.pedestrian.police_officer", "human.pedestrian.stroller", "human.pedestrian.wheelchair", "animal",
    "movable_object.debris", "movable_object.pushable_pullable", "static_object.bicycle_rack", "vehicle.bus.bendy",
    "vehicle.emergency.ambulance", "vehicle.emergency.police",
)  # fmt: skip
_ATTRIBUTES = (
    "vehicle.moving", "vehicle.stopped", "vehicle.parked", "cycle.with_rider", "cycle.without_rider",
    "pedestrian.sitting_lying_down", "pedestrian.standing", "pedestrian.moving",
)  # fmt: skip
_VISIBILITY = (("1", "v0-40"), ("2", "v40-60"), ("3", "v60-80"), ("4", "v80-100"))


class Tokens:
    """Tokens of 32 hexadecimal digits, the same for the same seed and name."""

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def __call__(self, *name: object) -> str:
        """The token of a named record."""
        text = "/".join(str(part) for part in (self.seed, *name))
        return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


def fixed_tables(tokens: Tokens) -> dict[str, list[Record]]:
    """The tables that do not depend on the scenes."""
    categories = (*CATEGORIES.values(), *_OTHER_CATEGORIES)
    return {
        "category": [{"token": tokens("category", name), "name": name, "description": ""} for name in categories],
        "attribute": [{"token": tokens("attribute", name), "name": name, "description": ""} for name in _ATTRIBUTES],
        "visibility": [
            {"token": token, "level": level, "description": f"visible share {level[1:]} %"}
            for token, level in _VISIBILITY
        ],
        "sensor": [
            {
                "token": tokens("sensor", channel),
                "channel": channel,
                "modality": "lidar" if channel == LIDAR else "camera",
            }
            for channel in (LIDAR, *CAMERAS)
        ],
    }


@dataclass
class SceneTables:
    """The records of one scene, filled in the order of time.

    Attributes:
        tokens: names to tokens.
        name: the scene's name, such as ``scene-0001``.
        logfile: the name of its log, which begins every file name.
        records: table name to records.
    """

    tokens: Tokens
    name: str
    logfile: str
    records: dict[str, list[Record]] = field(default_factory=dict)
    _last: dict[str, Record] = field(default_factory=dict)

    def add(self, table: str, record: Record) -> Record:
        """Append a record."""
        self.records.setdefault(table, []).append(record)
        return record

    def token(self, kind: str, *name: object) -> str:
        """The token of a record of this scene."""
        return self.tokens(self.name, kind, *name)

    def start(self, location: str, keyframes: int, mounts: Iterable[Mount], timestamps: list[int]) -> None:
        """Scene, log, calibration and samples."""
        log = self.token("log")
        self.add(
            "log",
            {
                "token": log,
                "logfile": self.logfile,
                "vehicle": "synthetic",
                "date_captured": "2020-09-13",
                "location": location,
            },
        )
        samples = [self.token("sample", index) for index in range(keyframes)]
        self.add(
            "scene",
            {
                "token": self.token("scene"),
                "log_token": log,
                "nbr_samples": keyframes,
                "first_sample_token": samples[0],
                "last_sample_token": samples[-1],
                "name": self.name,
                "description": "synthetic: ray-cast road scene",
            },
        )
        for mount in mounts:
            self.add(
                "calibrated_sensor",
                {
                    "token": self.token("calibrated_sensor", mount.channel),
                    "sensor_token": self.tokens("sensor", mount.channel),
                    **_pose(mount.to_ego),
                    "camera_intrinsic": [] if mount.intrinsics is None else mount.intrinsics.tolist(),
                },
            )
        for token, before, behind, timestamp in zip(
            samples, ["", *samples[:-1]], [*samples[1:], ""], timestamps, strict=True
        ):
            self.add(
                "sample",
                {
                    "token": token,
                    "timestamp": timestamp,
                    "prev": before,
                    "next": behind,
                    "scene_token": self.token("scene"),
                },
            )

    def add_data(
        self,
        channel: str,
        keyframe: int,
        is_key_frame: bool,
        timestamp: int,
        ego_to_global: Floats,
        size: tuple[int, int] = (0, 0),
    ) -> str:
        """A sensor record and its ego pose, chained to the one before; returns the file's name under the root."""
        token = self.token("sample_data", channel, timestamp)
        suffix = "pcd.bin" if channel == LIDAR else "jpg"
        folder = "samples" if is_key_frame else "sweeps"
        filename = f"{folder}/{channel}/{self.logfile}__{channel}__{timestamp}.{suffix}"
        self.add("ego_pose", {"token": token, "timestamp": timestamp, **_pose(ego_to_global)})
        before = self._last.get(channel)
        record = self.add(
            "sample_data",
            {
                "token": token,
                "sample_token": self.token("sample", keyframe),
                "ego_pose_token": token,
                "calibrated_sensor_token": self.token("calibrated_sensor", channel),
                "filename": filename,
                "fileformat": "pcd" if channel == LIDAR else "jpg",
                "width": size[1],
                "height": size[0],
                "timestamp": timestamp,
                "is_key_frame": is_key_frame,
                "prev": before["token"] if before else "",
                "next": "",
            },
        )
        if before:
            before["next"] = token
        self._last[channel] = record
        return filename

    def annotate(self, scene: Scene, observations: "Observations") -> None:
        """Instances and annotations: every object in each keyframe whose LiDAR hits it, as nuScenes has it."""
        for index, actor in enumerate(scene.actors):
            frames = np.flatnonzero(observations.annotated[:, index]).tolist()
            if actor.name is None or not frames:
                continue
            annotations = [self.token("sample_annotation", index, frame) for frame in frames]
            instance = self.token("instance", index)
            self.add(
                "instance",
                {
                    "token": instance,
                    "category_token": self.tokens("category", CATEGORIES[actor.name]),
                    "nbr_annotations": len(frames),
                    "first_annotation_token": annotations[0],
                    "last_annotation_token": annotations[-1],
                },
            )
            length, width, height = actor.size
            for token, frame, before, behind in zip(
                annotations, frames, ["", *annotations[:-1]], [*annotations[1:], ""], strict=True
            ):
                x, y, heading = observations.poses[frame, index]
                self.add(
                    "sample_annotation",
                    {
                        "token": token,
                        "sample_token": self.token("sample", frame),
                        "instance_token": instance,
                        "visibility_token": observations.visibility(frame, index),
                        "attribute_tokens": [self.tokens("attribute", actor.attribute)] if actor.attribute else [],
                        "translation": [round(float(x), 4), round(float(y), 4), round(height / 2, 4)],
                        "size": [width, length, height],
                        "rotation": quaternion(rotation(float(heading))),
                        "prev": before,
                        "next": behind,
                        "num_lidar_pts": int(observations.points[frame, index]),
                        "num_radar_pts": 0,
                    },
                )


class Observations:
    """What the sensors saw of each actor in each keyframe, arrays of (keyframes, actors)."""

    def __init__(self, keyframes: int, actors: int) -> None:
        self.points = np.zeros((keyframes, actors), np.int64)
        self.visible = np.zeros((keyframes, actors), np.int64)
        self.alone = np.zeros((keyframes, actors), np.int64)
        self.near = np.zeros((keyframes, actors), bool)
        self.poses = np.zeros((keyframes, actors, 3))

    def look(self, frame: int, poses: Floats, present: NDArray[np.bool_], ego_xy: Floats) -> None:
        """Record where the actors are at a keyframe."""
        self.poses[frame] = poses
        self.near[frame] = present & (np.hypot(*(poses[:, :2] - ego_xy).T) < ANNOTATED_RANGE)

    @property
    def annotated(self) -> NDArray[np.bool_]:
        """Which actors each keyframe annotates: near, and with a LiDAR point in the box."""
        return self.near & (self.points > 0)

    def visibility(self, frame: int, actor: int) -> str:
        """NuScenes' level 1..4 of the share of the object that all cameras together see."""
        if not self.alone[frame, actor]:
            return "1"
        share = self.visible[frame, actor] / self.alone[frame, actor]
        return str(1 + int(np.searchsorted([0.4, 0.6, 0.8], share, side="right")))


def _pose(matrix: Floats) -> Record:
    return {"translation": [float(value) for value in matrix[:3, 3]], "rotation": quaternion(matrix[:3, :3])}
