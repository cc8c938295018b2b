"""Writing a synthetic data root: scenes side by side in processes, then the tables and maps, then one rename."""

import json
import shutil
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from nuscenes.utils.splits import train as TRAIN_SCENES
from nuscenes.utils.splits import val as VAL_SCENES

from vexkd import __version__
from vexkd.classes import CAMERAS
from vexkd.data.synth import camera, lidar
from vexkd.data.synth.expansion import LOCATIONS, tile_corner, write_expansion, write_mask
from vexkd.data.synth.ground import Ground, make_ground
from vexkd.data.synth.layout import Layout
from vexkd.data.synth.rig import LIDAR, Mount, make_rig
from vexkd.data.synth.scene import KEYFRAME_SECONDS, Scene, make_scene, scene_side
from vexkd.data.synth.tables import Observations, Record, SceneTables, Tokens, fixed_tables
from vexkd.plugins.errors import UserError

VERSION = "v1.0-trainval"
"""The devkit evaluates the splits train and val only in a version of this name, with scene names of its own lists."""
SWEEPS_PER_KEYFRAME = 5
"""LiDAR turns per 0.5 s, the keyframe among them: 10 Hz, half of nuScenes' rate."""
JPEG_QUALITY = 92
FIRST_TIMESTAMP = 1_600_000_000_000_000
SCENE_MICROSECONDS = 1_000_000_000


@dataclass(frozen=True)
class SynthConfig:
    """What to generate.

    Attributes:
        scenes: number of scenes; the last fifth, at least one of two or more, is the split ``val``.
        seed: the same seed gives the same bytes.
        keyframes: keyframes per scene, 0.5 s apart.
        image_size: (height, width) of the images.
    """

    scenes: int
    seed: int = 0
    keyframes: int = 20
    image_size: tuple[int, int] = (225, 400)

    @property
    def names(self) -> list[str]:
        """Scene names: the devkit's own of train, then of val."""
        validation = max(1, round(self.scenes / 5)) if self.scenes > 1 else 0
        return [*TRAIN_SCENES[: self.scenes - validation], *VAL_SCENES[:validation]]

    def check(self) -> None:
        """Raise UserError for a value that cannot be generated."""
        limit = len(TRAIN_SCENES)
        if not 1 <= self.scenes <= limit:
            raise UserError(f"--scenes must be 1 to {limit} (the devkit's scene names), got {self.scenes}")
        if not 1 <= self.keyframes <= 80:
            raise UserError(f"--keyframes must be 1 to 80, got {self.keyframes}")
        if self.seed < 0:
            raise UserError(f"--seed must not be negative, got {self.seed}")
        if min(self.image_size) < 32 or max(self.image_size) > 4096:
            height, width = self.image_size
            raise UserError(f"--image-size must be 32 to 4096 pixels a side, got {height}x{width}")


def generate(
    out: Path, config: SynthConfig, workers: int = 0, progress: Callable[[int], None] = lambda scenes: None
) -> None:
    """Write a synthetic data root in nuScenes' format to ``out``.

    Args:
        out: a folder that does not exist yet; it appears when all is written.
        config: what to generate.
        workers: processes; 0 works in this one. The bytes do not depend on it.
        progress: told how many scenes are done whenever one is.

    Raises:
        UserError: ``out`` exists or the config is out of range.
    """
    config.check()
    if out.exists():
        raise UserError(f"{out} exists already; remove it or name another folder")
    out.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(dir=out.parent, prefix=f".{out.name}."))
    temporary.chmod(0o755)
    try:
        _write(temporary, config, workers, progress)
        temporary.replace(out)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _write(root: Path, config: SynthConfig, workers: int, progress: Callable[[int], None]) -> None:
    tokens = Tokens(config.seed)
    results: dict[int, SceneResult] = {}
    for index, result in _results(root, config, workers):
        results[index] = result
        progress(len(results))
    tables = fixed_tables(tokens)
    for index in sorted(results):
        for table, records in results[index].records.items():
            tables.setdefault(table, []).extend(records)
    side = scene_side(config.keyframes)
    tables["map"] = []
    for location, mask in LOCATIONS.items():
        here = [index for index in sorted(results) if _location(index) == location]
        if not here:
            continue
        layouts = [results[index].layout for index in here]
        write_expansion(root / "maps" / "expansion" / f"{location}.json", location, layouts, side, tokens)
        write_mask(root / "maps" / f"{mask}.png", layouts, side)
        logs = [record["token"] for index in here for record in results[index].records["log"]]
        tables["map"].append(
            {"token": mask, "log_tokens": logs, "category": "semantic_prior", "filename": f"maps/{mask}.png"}
        )
    folder = root / VERSION
    folder.mkdir()
    for table in (*tables, *({"instance", "sample_annotation"} - tables.keys())):
        (folder / f"{table}.json").write_text(json.dumps(tables.get(table, [])), encoding="utf-8")
    names = config.names
    train = [name for name in names if name in set(TRAIN_SCENES)]
    splits = {"train": train, "val": names[len(train) :]}
    (folder / "splits.json").write_text(json.dumps(splits), encoding="utf-8")
    about = {"generator": f"vexkd {__version__}", **asdict(config)}
    (root / "synth.json").write_text(json.dumps(about), encoding="utf-8")


@dataclass(frozen=True)
class SceneResult:
    """The records of a written scene, and its ground for the map."""

    records: dict[str, list[Record]]
    layout: Layout


def _results(root: Path, config: SynthConfig, workers: int) -> Iterator[tuple[int, SceneResult]]:
    if workers < 2 or config.scenes == 1:
        for index in range(config.scenes):
            yield index, write_scene(root, config, index)
        return
    # A fork server, not a plain fork: a fork of a process that holds threads of torch or OpenCV may hang.
    context = get_context("forkserver")
    context.set_forkserver_preload([__name__])
    with ProcessPoolExecutor(min(workers, config.scenes), context, cv2.setNumThreads, (1,)) as pool:
        jobs = {pool.submit(write_scene, root, config, index): index for index in range(config.scenes)}
        try:
            for job in as_completed(jobs):
                yield jobs[job], job.result()
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def write_scene(root: Path, config: SynthConfig, index: int) -> SceneResult:
    """Generate scene ``index``, write its sensor files under ``root`` and return its records."""
    rng = np.random.default_rng([config.seed, index])
    corner = tile_corner(index // len(LOCATIONS), scene_side(config.keyframes))
    scene = make_scene(rng, config.keyframes, corner)
    ground = make_ground(rng, scene.layout)
    lidar_mount, cameras = make_rig(rng, config.image_size)
    tables = SceneTables(Tokens(config.seed), config.names[index], f"synth-{config.seed}-{index:04d}")
    start = FIRST_TIMESTAMP + index * SCENE_MICROSECONDS
    times = [frame * KEYFRAME_SECONDS for frame in range(config.keyframes)]
    mounts = (lidar_mount, *cameras.values())
    tables.start(_location(index), config.keyframes, mounts, [start + round(t * 1e6) for t in times])
    observations = Observations(config.keyframes, len(scene.actors))
    studio = _Studio(rng, root, scene, ground, tables, observations, start)
    for frame, t in enumerate(times):
        if frame:
            step = KEYFRAME_SECONDS / SWEEPS_PER_KEYFRAME
            for sweep in range(1, SWEEPS_PER_KEYFRAME):
                studio.scan(lidar_mount, frame, t - KEYFRAME_SECONDS + sweep * step, is_key_frame=False)
        poses, present = scene.fleet.poses(t)
        observations.look(frame, poses, present, scene.ego.pose(t)[:2, 3])
        studio.scan(lidar_mount, frame, t, is_key_frame=True)
        for channel in CAMERAS:
            studio.photograph(cameras[channel], frame, t, config.image_size)
    tables.annotate(scene, observations)
    return SceneResult(tables.records, scene.layout)


@dataclass(frozen=True)
class _Studio:
    """Runs the sensors of one scene and writes what they give."""

    rng: np.random.Generator
    root: Path
    scene: Scene
    ground: Ground
    tables: SceneTables
    observations: Observations
    start: int

    def scan(self, mount: Mount, frame: int, t: float, is_key_frame: bool) -> None:
        ego_to_global = self.scene.ego.pose(t)
        lidar_to_global = ego_to_global @ mount.to_ego
        points = lidar.scan(self.rng, self.scene, self.ground, t, lidar_to_global)
        filename = self.tables.add_data(LIDAR, frame, is_key_frame, self._timestamp(t), ego_to_global)
        _write_bytes(self.root / filename, points.tobytes())
        if is_key_frame:
            poses = self.observations.poses[frame]
            self.observations.points[frame] = lidar.count_points(points, self.scene, poses, lidar_to_global)

    def photograph(self, mount: Mount, frame: int, keyframe_time: float, size: tuple[int, int]) -> None:
        t = keyframe_time + mount.delay
        ego_to_global = self.scene.ego.pose(t)
        assert mount.intrinsics is not None
        picture = camera.photograph(
            self.rng, self.scene, self.ground, t, ego_to_global @ mount.to_ego, mount.intrinsics, size
        )
        filename = self.tables.add_data(mount.channel, frame, True, self._timestamp(t), ego_to_global, size)
        _write_bytes(self.root / filename, _jpeg(picture.image))
        self.observations.visible[frame] += picture.visible
        self.observations.alone[frame] += picture.alone

    def _timestamp(self, t: float) -> int:
        return self.start + round(t * 1e6)


def _location(index: int) -> str:
    return list(LOCATIONS)[index % len(LOCATIONS)]


def _jpeg(image: NDArray[np.uint8]) -> bytes:
    done, content = cv2.imencode(".jpg", image[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    if not done:
        raise RuntimeError("the JPEG encoder failed")
    return content.tobytes()


def _write_bytes(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
