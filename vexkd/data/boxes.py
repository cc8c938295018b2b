"""Boxes between nuScenes' convention and ours, in both directions: the only place that knows (w, l, h) and quaternions.

nuScenes: global frame, size (width, length, height), rotation quaternion (w, x, y, z), velocity m/s in global.
Ours: see :mod:`vexkd.geometry`.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from nuscenes.eval.detection.utils import category_to_detection_name
from nuscenes.nuscenes import NuScenes

from vexkd.classes import DETECTION_CLASSES
from vexkd.data.damage import rigid
from vexkd.geometry import BOX_SIZE, HEIGHT, LENGTH, VX, VY, WIDTH, YAW

Floats = NDArray[np.floating[Any]]

_LABELS = {name: label for label, name in enumerate(DETECTION_CLASSES)}


def load_boxes(
    nusc: NuScenes, sample_token: str, ego_to_global: NDArray[np.float64]
) -> tuple[NDArray[np.float32], NDArray[np.int64], NDArray[np.int64]]:
    """Annotations of a keyframe that belong to a detection class.

    Args:
        nusc: the tables.
        sample_token: the keyframe.
        ego_to_global: (4, 4) at the LiDAR timestamp.

    Returns:
        boxes (M, 9) float32, labels (M,) int64, annotated LiDAR points (M,) int64; the velocity is the devkit's
        ``box_velocity`` turned into the ego frame, NaN where it cannot be estimated.

    Raises:
        DamagedSample: an annotation's pose is not finite.
    """
    global_to_ego = np.linalg.inv(ego_to_global)
    rows: list[NDArray[np.float64]] = []
    labels: list[int] = []
    counts: list[int] = []
    for token in nusc.get("sample", sample_token)["anns"]:
        annotation = nusc.get("sample_annotation", token)
        name = category_to_detection_name(annotation["category_name"])
        if name is None:
            continue
        pose = global_to_ego @ rigid(annotation, f"{nusc.version}/sample_annotation.json: record {token}")
        velocity = global_to_ego[:3, :3] @ nusc.box_velocity(token)
        width, length, height = annotation["size"]
        yaw = np.arctan2(pose[1, 0], pose[0, 0])
        rows.append(np.array([*pose[:3, 3], length, width, height, yaw, *velocity[:2]]))
        labels.append(_LABELS[name])
        counts.append(annotation["num_lidar_pts"])
    boxes = np.array(rows, np.float32).reshape(-1, BOX_SIZE)
    # float32 rounds pi up, out of (-pi, pi].
    boxes[:, YAW] = np.clip(boxes[:, YAW], -_PI32, _PI32)
    return boxes, np.array(labels, np.int64), np.array(counts, np.int64)


def submission_boxes(
    boxes: Floats, scores: Floats, labels: NDArray[np.integer[Any]], ego_to_global: Floats, sample_token: str
) -> list[dict[str, Any]]:
    """Boxes (M, 9) with scores (M,) and labels (M,) as records of nuScenes' detection submission.

    The attribute, which no model here predicts, is the class's likeliest for the box's speed. A velocity that is
    not finite is submitted as zero, because the devkit refuses NaN there.
    """
    global_boxes = boxes.astype(np.float64)
    rotation = ego_to_global[:3, :3].astype(np.float64)
    centres = global_boxes[:, :3] @ rotation.T + ego_to_global[:3, 3]
    planar = np.nan_to_num(global_boxes[:, [VX, VY]], nan=0.0, posinf=0.0, neginf=0.0)
    velocities = np.pad(planar, ((0, 0), (0, 1))) @ rotation.T
    records = []
    for box, centre, velocity, score, label in zip(global_boxes, centres, velocities, scores, labels, strict=True):
        name = DETECTION_CLASSES[int(label)]
        records.append(
            {
                "sample_token": sample_token,
                "translation": centre.tolist(),
                "size": box[[WIDTH, LENGTH, HEIGHT]].tolist(),
                "rotation": quaternion(rotation @ _rotation_z(box[YAW])),
                "velocity": velocity[:2].tolist(),
                "detection_name": name,
                "detection_score": float(score),
                "attribute_name": _attribute(name, float(np.hypot(velocity[0], velocity[1]))),
            }
        )
    return records


_PI32 = np.nextafter(np.float32(np.pi), np.float32(0))
_VEHICLES = ("car", "truck", "construction_vehicle", "bus", "trailer")
_MOVING = 0.2


def _attribute(name: str, speed: float) -> str:
    if name in _VEHICLES:
        return "vehicle.moving" if speed > _MOVING else "vehicle.parked"
    if name == "pedestrian":
        return "pedestrian.moving" if speed > _MOVING else "pedestrian.standing"
    if name in ("motorcycle", "bicycle"):
        return "cycle.with_rider" if speed > _MOVING else "cycle.without_rider"
    return ""


def _rotation_z(yaw: float) -> NDArray[np.float64]:
    cos, sin = np.cos(yaw), np.sin(yaw)
    return np.array([[cos, -sin, 0.0], [sin, cos, 0.0], [0.0, 0.0, 1.0]])


def quaternion(rotation: NDArray[np.float64]) -> list[float]:
    """Unit quaternion (w, x, y, z) of a rotation matrix: the eigenvector of Bar-Itzhack's symmetric 4x4 matrix."""
    (xx, xy, xz), (yx, yy, yz), (zx, zy, zz) = rotation
    symmetric = np.array(
        [
            [xx + yy + zz, zy - yz, xz - zx, yx - xy],
            [zy - yz, xx - yy - zz, xy + yx, xz + zx],
            [xz - zx, xy + yx, yy - xx - zz, yz + zy],
            [yx - xy, xz + zx, yz + zy, zz - xx - yy],
        ]
    )
    vector = np.linalg.eigh(symmetric)[1][:, -1]
    w, x, y, z = vector if vector[0] >= 0 else -vector
    return [float(w), float(x), float(y), float(z)]
