"""What a user asks for, and everything about it that is refused before anything is trained."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import TypeVar

from nuscenes.nuscenes import NuScenes

from vexkd.ablate.plan import PlannedRun, check_overrides
from vexkd.ablate.suites import SCALES, SENSORS, SUITES, TASKS, Row, Scale, Suite
from vexkd.classes import CAMERAS
from vexkd.data.map_labels import MapLabels
from vexkd.data.root import open_root, split_scenes, split_tokens
from vexkd.data.scan import LIDAR
from vexkd.models.missing import Sensor
from vexkd.models.perception import Task
from vexkd.plugins.errors import UserError

T = TypeVar("T")


@dataclass(frozen=True)
class Request:
    """A suite and how it is to be run; see :func:`make_request`."""

    suite: Suite
    data: Path
    out: Path
    scale: Scale
    tasks: tuple[Task, ...]
    sensors: tuple[Sensor, ...]
    rows: tuple[Row, ...]
    seeds: int
    overrides: tuple[str, ...]
    jobs: int
    command: str


def make_request(
    suite: str,
    data: Path,
    out: Path,
    scale: str,
    tasks: Sequence[str] = (),
    sensors: Sequence[str] = (),
    rows: Sequence[str] = (),
    seeds: int | None = None,
    overrides: Sequence[str] = (),
    jobs: int = 1,
    command: str = "",
) -> Request:
    """Check every name; nothing named means all. The baseline is always among the rows.

    Raises:
        UserError: an unknown name, with the nearest one, or a number that is too small.
    """
    chosen = _named("suite", suite, {known.name: known for known in SUITES})
    size = _named("--scale", scale, {known.name: known for known in SCALES})
    wanted = {_named("--rows", name, {row.name: row for row in chosen.rows}).name for name in rows}
    for option, number in (("--seeds", seeds), ("--jobs", jobs)):
        if number is not None and number < 1:
            raise UserError(f"{option} takes a number from 1, got {number}")
    if chosen.teachers and sensors:
        raise UserError(f"the rows of {chosen.name} are teachers, which read both sensors; leave out --sensors")
    check_overrides(overrides)
    return Request(
        suite=chosen,
        data=data,
        out=out,
        scale=size,
        tasks=tuple(dict.fromkeys(_named("--tasks", name, {task: task for task in TASKS}) for name in tasks)) or TASKS,
        sensors=tuple(dict.fromkeys(_named("--sensors", name, {s: s for s in SENSORS}) for name in sensors)) or SENSORS,
        rows=tuple(row for row in chosen.rows if not wanted or row.name in wanted | {chosen.baseline}),
        seeds=size.seeds if seeds is None else seeds,
        overrides=tuple(overrides),
        jobs=jobs,
        command=command,
    )


def check_data(runs: Iterable[PlannedRun]) -> None:
    """Refuse runs that do not fit the data.

    Raises:
        UserError: the first run that lacks something there, and what.
    """
    channels: set[str] = set()
    for run in runs:
        data = run.config.data
        nusc = open_root(data.root, data.version)
        split_tokens(nusc, data.train_split, data.train_scenes)
        split_tokens(nusc, data.val_split)
        # All runs read one root, whose table of files may be long.
        channels = channels or {record["channel"] for record in nusc.sample_data}
        _check_sensors(channels, run)
        if run.config.task == "segmentation":
            _check_maps(nusc, run)


def _check_sensors(channels: set[str], run: PlannedRun) -> None:
    model = run.config.model
    needed = (CAMERAS if model.camera is not None else ()) + ((LIDAR,) if model.lidar is not None else ())
    if absent := [channel for channel in needed if channel not in channels]:
        raise UserError(
            f"{run.name} needs {', '.join(absent)}, which {run.config.data.root} lacks (it has "
            f"{', '.join(sorted(channels))}); give other --data, or leave out the rows, sensors or suite that need it"
        )


def _check_maps(nusc: NuScenes, run: PlannedRun) -> None:
    data, splits = run.config.data, split_scenes(nusc)
    named = {*splits[data.train_split], *splits[data.val_split]}
    logs = {scene["log_token"] for scene in nusc.scene if scene["name"] in named}
    maps = MapLabels(data.root)
    locations = sorted({nusc.get("log", log)["location"] for log in logs})
    if absent := [location for location in locations if not maps.has(location)]:
        raise UserError(
            f"{run.name} needs map labels, and {data.root} has no maps/expansion/{absent[0]}.json; add the map "
            "expansion, or give --tasks detection"
        )


def _named(option: str, name: str, known: dict[str, T]) -> T:
    if name in known:
        return known[name]
    near = get_close_matches(name.lower(), {key.lower(): key for key in known}, n=1, cutoff=0.5)
    meant = f"; did you mean {next(key for key in known if key.lower() == near[0])!r}?" if near else ""
    raise UserError(f"unknown {option} {name!r}, expected one of {', '.join(known)}{meant}")
