"""Looking through a data root for damage before a run begins, without decoding what need not be decoded."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from nuscenes.nuscenes import NuScenes
from PIL import Image

from vexkd.classes import CAMERAS
from vexkd.data.damage import (
    DamagedSample,
    check_image_file,
    check_points_file,
    intrinsic,
    read_image,
    read_points,
    rigid,
)

LIDAR = "LIDAR_TOP"


@dataclass(frozen=True)
class Damage:
    """Why one keyframe cannot be loaded; ``reason`` begins with the file's name."""

    token: str
    reason: str


def scan(nusc: NuScenes, tokens: list[str], *, images: bool, sweeps: int, decode: bool = False) -> list[Damage]:
    """Every keyframe of ``tokens`` that cannot be loaded, with its first fault.

    Checked: sensor files present and whole (the size of point files, both ends of JPEGs; with ``decode`` every file
    is read), all cameras of a keyframe of one image size, calibration and poses finite.

    Args:
        nusc: the tables.
        tokens: keyframes to look at.
        images: whether the six cameras are needed.
        sweeps: how many older sweeps are needed.
        decode: read and decode every file: minutes for a full data set.
    """
    checker = _Checker(nusc, decode)
    found = []
    for token in tokens:
        try:
            checker.sample(token, images, sweeps)
        except DamagedSample as error:
            found.append(Damage(token, str(error)))
    return found


def sweep_records(nusc: NuScenes, keyframe: dict[str, Any], sweeps: int) -> Iterator[dict[str, Any]]:
    """The LiDAR record of a keyframe, then up to ``sweeps`` ever older ones."""
    yield keyframe
    for _ in range(sweeps):
        if not keyframe["prev"]:
            return
        keyframe = nusc.get("sample_data", keyframe["prev"])
        yield keyframe


def sensor_record(nusc: NuScenes, token: str, channel: str) -> dict[str, Any]:
    """The ``sample_data`` record of one sensor at a keyframe.

    Raises:
        DamagedSample: the keyframe lacks this sensor.
    """
    data = nusc.get("sample", token)["data"]
    if channel not in data:
        raise DamagedSample(f"{nusc.version}/sample_data.json: keyframe {token} has no {channel}")
    record: dict[str, Any] = nusc.get("sample_data", data[channel])
    return record


def poses(nusc: NuScenes, record: dict[str, Any]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(sensor_to_ego, ego_to_global), both (4, 4) float64, of a ``sample_data`` record.

    Raises:
        DamagedSample: a value is not finite.
    """
    return (
        rigid(
            nusc.get("calibrated_sensor", record["calibrated_sensor_token"]), _source(nusc, record, "calibrated_sensor")
        ),
        rigid(nusc.get("ego_pose", record["ego_pose_token"]), _source(nusc, record, "ego_pose")),
    )


def camera_matrix(nusc: NuScenes, record: dict[str, Any]) -> NDArray[np.float64]:
    """The (3, 3) float64 intrinsics of a camera's ``sample_data`` record.

    Raises:
        DamagedSample: it is missing or not finite.
    """
    calibration = nusc.get("calibrated_sensor", record["calibrated_sensor_token"])
    return intrinsic(calibration, _source(nusc, record, "calibrated_sensor"))


def check_sizes(sizes: dict[str, tuple[int, int]], files: dict[str, Path]) -> None:
    """All cameras of a keyframe must give images of one (width, height).

    Raises:
        DamagedSample: they differ.
    """
    first = next(iter(sizes))
    for camera, size in sizes.items():
        if size != sizes[first]:
            raise DamagedSample(
                f"{files[camera]}: image is {size[0]}x{size[1]}, but {first} of this keyframe is "
                f"{sizes[first][0]}x{sizes[first][1]}; all cameras must have one size"
            )


def _source(nusc: NuScenes, record: dict[str, Any], table: str) -> str:
    return f"{nusc.version}/{table}.json: record {record[f'{table}_token']} ({record['channel']})"


class _Checker:
    """Remembers each file's verdict: neighbouring keyframes share sweeps."""

    def __init__(self, nusc: NuScenes, decode: bool) -> None:
        self.nusc = nusc
        self.root = Path(nusc.dataroot)
        self.check_points: Callable[[Path], object] = read_points if decode else check_points_file
        self.check_image: Callable[[Path], object] = read_image if decode else check_image_file
        self.verdicts: dict[str, str] = {}

    def sample(self, token: str, images: bool, sweeps: int) -> None:
        for record in sweep_records(self.nusc, sensor_record(self.nusc, token, LIDAR), sweeps):
            self._once(record, self.check_points)
        if not images:
            return
        sizes, files = {}, {}
        for camera in CAMERAS:
            record = sensor_record(self.nusc, token, camera)
            camera_matrix(self.nusc, record)
            self._once(record, self.check_image)
            files[camera] = self.root / record["filename"]
            sizes[camera] = _jpeg_size(files[camera])
        check_sizes(sizes, files)

    def _once(self, record: dict[str, Any], check: Callable[[Path], object]) -> None:
        key = record["token"]
        if key not in self.verdicts:
            try:
                poses(self.nusc, record)
                check(self.root / record["filename"])
                self.verdicts[key] = ""
            except DamagedSample as error:
                self.verdicts[key] = str(error)
        if self.verdicts[key]:
            raise DamagedSample(self.verdicts[key])


def _jpeg_size(path: Path) -> tuple[int, int]:
    try:
        with Image.open(path, formats=("JPEG",)) as image:
            return image.size
    except (OSError, SyntaxError) as error:
        raise DamagedSample(f"{path}: the JPEG's header cannot be read") from error
