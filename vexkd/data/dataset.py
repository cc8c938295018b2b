"""Keyframes of a nuScenes-format data root as :class:`~vexkd.data.sample.Sample`, map-style and torch-free."""

import logging
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vexkd.classes import CAMERAS
from vexkd.config import DataConfig
from vexkd.data.boxes import load_boxes
from vexkd.data.damage import DamagedSample, read_image, read_points
from vexkd.data.map_labels import MapLabels
from vexkd.data.root import open_root, split_tokens
from vexkd.data.sample import Sample
from vexkd.data.scan import LIDAR, camera_matrix, check_sizes, poses, scan, sensor_record, sweep_records
from vexkd.plugins.errors import UserError
from vexkd.plugins.points import Sweep, accumulate_sweeps

logger = logging.getLogger(__name__)

OWN_VEHICLE = 1.0
"""Points with |x| and |y| below this in the sensor frame lie on the vehicle itself, metres (as the devkit has it)."""


class NuScenesDataset:
    """The keyframes of one split.

    Damaged keyframes are looked for at once (:func:`vexkd.data.scan.scan`): ``on_damage: stop`` raises, ``skip``
    leaves them out and says how many. What only decoding reveals is treated when the keyframe is read: ``stop``
    raises, ``skip`` gives the next sound keyframe in its place (its ``token`` says which) and logs it.

    Safe in worker processes. With ``config.cache`` decoded samples stay in the memory of the process that read them;
    with several workers each keeps its own.

    Args:
        config: root, version, sweeps, capacity and what to do about damage.
        split: split name of the devkit or of the root's ``splits.json``, or ``all``.
        images: load the six images; without them ``Sample.images`` has V = 0 (calibration is there all the same).
        map_labels: map labels are required. Without it they are None.
        scenes: only the first so many scenes of the split; by default all.

    Attributes:
        tokens: sample tokens in the order of the indices.
        nusc: the devkit's tables.
        damage: what was found and left out.

    Raises:
        UserError: wrong root, version, split or number of scenes, a damaged table, damage under ``on_damage: stop``,
            or required map labels without a map expansion.
    """

    def __init__(
        self,
        config: DataConfig,
        split: str,
        images: bool = True,
        map_labels: bool = False,
        scenes: int | None = None,
    ) -> None:
        self.config = config
        self.images = images
        self.nusc = open_root(config.root, config.version)
        self.maps = MapLabels(config.root) if map_labels else None
        tokens = split_tokens(self.nusc, split, scenes)
        self.damage = scan(self.nusc, tokens, images=images, sweeps=config.sweeps)
        self._handle_damage(len(tokens))
        damaged = {fault.token for fault in self.damage}
        self.tokens = [token for token in tokens if token not in damaged]
        self._cache: dict[str, Sample] = {}
        self._reported_overflow = False
        if self.maps is not None:
            self._check_maps(self.maps)

    def __len__(self) -> int:
        return len(self.tokens)

    def __getitem__(self, index: int) -> Sample:
        """The keyframe at ``index``.

        Raises:
            DamagedSample: it cannot be read and ``on_damage`` is ``stop``, or nothing can be read at all.
        """
        count = len(self.tokens)
        if not -count <= index < count:
            raise IndexError(f"index {index} is out of range for {count} keyframes")
        for offset in range(count):
            token = self.tokens[(index + offset) % count]
            if token in self._cache:
                return self._cache[token]
            try:
                sample = self.load(token)
            except DamagedSample as error:
                if self.config.on_damage == "stop":
                    raise
                logger.warning("keyframe %s is skipped: %s", token, error)
                continue
            if self.config.cache:
                self._cache[token] = sample
            return sample
        raise DamagedSample(f"none of the {count} keyframes of {self.config.root} can be read")

    def load(self, token: str) -> Sample:
        """Read one keyframe from disk.

        Raises:
            DamagedSample: a file or a calibration record is damaged.
        """
        lidar = sensor_record(self.nusc, token, LIDAR)
        _, ego_to_global = poses(self.nusc, lidar)
        images, intrinsics, camera_to_ego = self._cameras(token, ego_to_global)
        boxes, labels, counts = load_boxes(self.nusc, token, ego_to_global)
        return Sample(
            token=token,
            timestamp=lidar["timestamp"],
            points=self._points(lidar, ego_to_global),
            images=images,
            intrinsics=intrinsics,
            camera_to_ego=camera_to_ego,
            ego_to_global=ego_to_global,
            boxes=boxes,
            labels=labels,
            num_points=counts,
            map_labels=self.maps(self.location(token), ego_to_global) if self.maps is not None else None,
        )

    def location(self, token: str) -> str:
        """The map location of a keyframe's log."""
        scene = self.nusc.get("scene", self.nusc.get("sample", token)["scene_token"])
        return str(self.nusc.get("log", scene["log_token"])["location"])

    def _points(self, keyframe: dict[str, Any], ego_to_global: NDArray[np.float64]) -> NDArray[np.float32]:
        global_to_ego = np.linalg.inv(ego_to_global)
        sweeps = []
        for record in sweep_records(self.nusc, keyframe, self.config.sweeps):
            to_ego, sweep_to_global = poses(self.nusc, record)
            if record is not keyframe:
                to_ego = global_to_ego @ sweep_to_global @ to_ego
            raw = read_points(Path(self.nusc.dataroot) / record["filename"])
            age = (keyframe["timestamp"] - record["timestamp"]) * 1e-6
            sweeps.append(Sweep(raw, to_ego, age, own_vehicle=OWN_VEHICLE))
        # Never more rows than points: a cloud is often far smaller than max_points, and may stay in the cache.
        capacity = min(sum(len(sweep.points) for sweep in sweeps), self.config.max_points)
        # One thread: several processes load at the same time.
        cloud = accumulate_sweeps(sweeps, capacity, threads=1)
        if cloud.dropped > 0 and not self._reported_overflow:
            self._reported_overflow = True
            logger.warning(
                "keyframe %s has %d points, data.max_points is %d: the oldest %d are dropped (said once)",
                keyframe["sample_token"], cloud.count + cloud.dropped, self.config.max_points, cloud.dropped,
            )  # fmt: skip
        return cloud.points[: cloud.count]

    def _cameras(
        self, token: str, ego_to_global: NDArray[np.float64]
    ) -> tuple[NDArray[np.uint8], NDArray[np.float64], NDArray[np.float64]]:
        global_to_ego = np.linalg.inv(ego_to_global)
        records = {camera: sensor_record(self.nusc, token, camera) for camera in CAMERAS}
        intrinsics = np.stack([camera_matrix(self.nusc, record) for record in records.values()])
        moves = [poses(self.nusc, record) for record in records.values()]
        camera_to_ego = np.stack([global_to_ego @ then_to_global @ to_ego for to_ego, then_to_global in moves])
        if not self.images:
            return np.zeros((0, 0, 0, 3), np.uint8), intrinsics, camera_to_ego
        files = {camera: Path(self.nusc.dataroot) / record["filename"] for camera, record in records.items()}
        images = {camera: read_image(path) for camera, path in files.items()}
        check_sizes({camera: (image.shape[1], image.shape[0]) for camera, image in images.items()}, files)
        return np.stack(list(images.values())), intrinsics, camera_to_ego

    def _handle_damage(self, total: int) -> None:
        if not self.damage:
            return
        listed = "; ".join(fault.reason for fault in self.damage[:3])
        more = f"; and {len(self.damage) - 3} more" if len(self.damage) > 3 else ""
        what = f"{len(self.damage)} of {total} keyframes are damaged: {listed}{more}"
        if self.config.on_damage == "stop":
            raise DamagedSample(f"{what}. Mend them, or leave them out with data.on_damage=skip")
        if len(self.damage) == total:
            raise DamagedSample(f"nothing is left to load: {what}")
        logger.warning("%s; they are skipped", what)

    def _check_maps(self, maps: MapLabels) -> None:
        missing = {location for location in map(self.location, self.tokens) if not maps.has(location)}
        if missing:
            paths = ", ".join(str(maps.path(location)) for location in sorted(missing))
            raise UserError(f"map labels need the map expansion, but it is missing: {paths}")
