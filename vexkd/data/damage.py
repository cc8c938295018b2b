"""Reading sensor files and table records that may be damaged: every fault is named by file and reason."""

from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from vexkd.plugins.errors import UserError

POINT_BYTES = 20
"""A nuScenes LiDAR point: x, y, z, intensity (0..255), ring as float32."""

_JPEG_TAIL = 64


class DamagedSample(UserError):
    """A keyframe that cannot be loaded: the message names the file and says what is wrong with it."""


def read_points(path: Path) -> NDArray[np.float32]:
    """Points (N, 5) float32 of a ``.pcd.bin``: x, y, z in the sensor frame, intensity 0..255, ring.

    Raises:
        DamagedSample: the file is missing, empty or no whole number of points.
    """
    content = _read(path)
    _check_point_bytes(path, len(content))
    return np.frombuffer(content, np.float32).reshape(-1, 5)


def check_points_file(path: Path) -> None:
    """What :func:`read_points` checks, without reading the file."""
    try:
        _check_point_bytes(path, path.stat().st_size)
    except OSError as error:
        raise DamagedSample(f"{path}: cannot be read ({error.strerror})") from error


def read_image(path: Path) -> NDArray[np.uint8]:
    """An image (H, W, 3) uint8 RGB.

    Raises:
        DamagedSample: the file is missing, truncated or no JPEG.
    """
    content = _read(path)
    _check_jpeg_ends(path, content[:2], content[-_JPEG_TAIL:])
    flags = cv2.IMREAD_COLOR_RGB | cv2.IMREAD_IGNORE_ORIENTATION
    image = cv2.imdecode(np.frombuffer(content, np.uint8), flags)
    if image is None:
        raise DamagedSample(f"{path}: the JPEG cannot be decoded")
    return image  # type: ignore[return-value]


def check_image_file(path: Path) -> None:
    """The checks of :func:`read_image` that need no decoding: the file is there and begins and ends as a JPEG."""
    try:
        with path.open("rb") as file:
            head = file.read(2)
            file.seek(0, 2)
            file.seek(max(0, file.tell() - _JPEG_TAIL))
            tail = file.read()
    except OSError as error:
        raise DamagedSample(f"{path}: cannot be read ({error.strerror})") from error
    _check_jpeg_ends(path, head, tail)


def rigid(record: dict[str, Any], source: str) -> NDArray[np.float64]:
    """The (4, 4) float64 transform of a table record with ``translation`` (m) and ``rotation`` (w, x, y, z).

    Raises:
        DamagedSample: a value is missing or not finite, or the quaternion is no rotation.
    """
    translation = _numbers(record, "translation", (3,), source)
    rotation = _numbers(record, "rotation", (4,), source)
    norm = float(np.linalg.norm(rotation))
    if abs(norm - 1.0) > 1e-2:
        raise DamagedSample(f"{source}: rotation has norm {norm:.4f}, expected a unit quaternion")
    w, x, y, z = rotation / norm
    matrix = np.eye(4)
    matrix[:3, :3] = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
        [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
        [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
    ]
    matrix[:3, 3] = translation
    return matrix


def intrinsic(record: dict[str, Any], source: str) -> NDArray[np.float64]:
    """The (3, 3) float64 camera matrix of a ``calibrated_sensor`` record.

    Raises:
        DamagedSample: it is missing, not finite or singular.
    """
    matrix = _numbers(record, "camera_intrinsic", (3, 3), source)
    if abs(np.linalg.det(matrix)) < 1e-9:
        raise DamagedSample(f"{source}: camera_intrinsic is singular")
    return matrix


def _numbers(record: dict[str, Any], key: str, shape: tuple[int, ...], source: str) -> NDArray[np.float64]:
    try:
        values = np.array(record[key], np.float64)
    except (KeyError, TypeError, ValueError) as error:
        raise DamagedSample(f"{source}: {key} is missing or not numeric") from error
    if values.shape != shape:
        raise DamagedSample(f"{source}: {key} has shape {values.shape}, expected {shape}")
    if not np.isfinite(values).all():
        raise DamagedSample(f"{source}: {key} is not finite ({record[key]})")
    return values


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise DamagedSample(f"{path}: cannot be read ({error.strerror})") from error


def _check_point_bytes(path: Path, size: int) -> None:
    if size == 0:
        raise DamagedSample(f"{path}: the file is empty")
    if size % POINT_BYTES:
        raise DamagedSample(f"{path}: truncated, {size} bytes are no multiple of {POINT_BYTES} (one point)")


def _check_jpeg_ends(path: Path, head: bytes, tail: bytes) -> None:
    if not tail:
        raise DamagedSample(f"{path}: the file is empty")
    if head != b"\xff\xd8":
        raise DamagedSample(f"{path}: not a JPEG (it begins with {head.hex()}, expected ffd8)")
    if b"\xff\xd9" not in tail:
        raise DamagedSample(f"{path}: the JPEG is truncated (no end-of-image marker)")
