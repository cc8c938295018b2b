"""Which runs a suite needs: one folder for every setup that differs, shared by all rows and suites that need it."""

import hashlib
import json
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import vexkd
from vexkd.ablate.suites import BOTH, OWN_TEACHER, Row, Scale, Suite, Teacher
from vexkd.config import Config, load_config
from vexkd.models.missing import Sensor
from vexkd.models.perception import Task
from vexkd.plugins.errors import UserError

RUNS = "runs"
TEACHER_SEED = 0
"""A teacher is trained once, with this seed, whatever the number of seeds of its students."""

INDIFFERENT = (("data", "root"), ("data", "workers"), ("data", "cache"), ("distill", "cache"))
"""Settings that do not change a run's result."""
RESERVED = ("data.root", "train.seed", "train.init", "train.stage", "distill.teacher")
"""Settings that the plan makes itself."""
OPTIONAL_SECTIONS = ("distill", "model.camera", "model.lidar", "model.fusion")


@dataclass(frozen=True)
class PlannedRun:
    """A training: how it is made and where it lies.

    Attributes:
        recipe: YAML file it starts from.
        overrides: settings upon it.
        config: both together, resolved.
        folder: run folder; its name tells the setup and ends with the fingerprint of the config.
        needs: runs that must be finished before it.
    """

    recipe: Path
    overrides: tuple[str, ...]
    config: Config
    folder: Path
    needs: tuple["PlannedRun", ...] = ()

    @property
    def name(self) -> str:
        """Name of the folder."""
        return self.folder.name

    def arguments(self) -> list[str]:
        """Of the command ``vexkd`` that makes this run, or goes on with it."""
        settings = [part for setting in self.overrides for part in ("--set", setting)]
        return ["train", str(self.recipe), *settings, "--out", str(self.folder), "--resume"]

    def command(self) -> str:
        """What one would type."""
        _, _, *rest = self.arguments()
        recipe = Path(*self.recipe.parts[self.recipe.parts.index("configs") :])
        return shlex.join(["vexkd", "train", str(recipe), *rest])


@dataclass(frozen=True)
class Trial:
    """A row of a suite with one task, sensor and seed.

    Attributes:
        row: the setup.
        task: its task.
        sensor: the student's sensor, or both for a teacher's row.
        seed: of the student's training.
        run: the training whose result it is.
        weight: of the KD term where it was calibrated.
    """

    row: Row
    task: Task
    sensor: str
    seed: int
    run: PlannedRun
    weight: float | None = None


@dataclass(frozen=True)
class Planner:
    """Makes runs of recipes.

    Attributes:
        scale: which recipes, and settings of all of them.
        data: data root.
        out: the study's folder.
        overrides: the user's settings; each goes to those runs that have its section.
    """

    scale: Scale
    data: Path
    out: Path
    overrides: tuple[str, ...] = ()

    def recipe(self, task: Task, name: str) -> Path:
        """The YAML file of a recipe."""
        return Path(vexkd.__file__).parent / "configs" / self.scale.recipes / task / f"{name}.yaml"

    def plain(self, task: Task, sensor: Sensor, seed: int) -> PlannedRun:
        """A student trained on its task alone."""
        return self._run(self.recipe(task, sensor), (), seed)

    def teacher(self, task: Task, variant: Teacher = OWN_TEACHER, seed: int = TEACHER_SEED) -> PlannedRun:
        """A fusion teacher; as BEVFusion's it goes on from a LiDAR model, the plain student of the first seed."""
        start = self.plain(task, "lidar", TEACHER_SEED)
        settings = (*variant.overrides, f"train.init={start.folder}")
        return self._run(self.recipe(task, "teacher"), settings, seed, (start,))

    def distilled(
        self, task: Task, sensor: Sensor, seed: int, overrides: Iterable[str] = (), variant: Teacher = OWN_TEACHER
    ) -> PlannedRun:
        """A student taught by a teacher of a variant."""
        teacher = self.teacher(task, variant)
        settings = (*overrides, f"distill.teacher={teacher.folder}")
        return self._run(self.recipe(task, f"distill-{sensor}"), settings, seed, (teacher,))

    def row(self, row: Row, task: Task, sensor: Sensor, seed: int, weight: float | None = None) -> PlannedRun:
        """The run of a row, where it was calibrated at that weight of the KD term."""
        if row.kind == "teacher":
            return self.teacher(task, Teacher(row.overrides), seed)
        if row.kind == "plain":
            return self.plain(task, sensor, seed)
        own = self.distilled(task, sensor, seed).config.distill
        assert own is not None
        scaled: tuple[str, ...] = ()
        if weight is not None:
            # Masks see the KD term, too: mu keeps its proportion to the weight.
            mu = significant(own.mu * weight / own.weight)
            scaled = (f"distill.weight={weight}", f"distill.mu={mu}")
        return self.distilled(task, sensor, seed, (*row.overrides, *scaled), row.teacher)

    def _run(self, recipe: Path, settings: Iterable[str], seed: int, needs: tuple[PlannedRun, ...] = ()) -> PlannedRun:
        common = [setting for setting in (*self.scale.overrides, *self.overrides) if _applies(setting, recipe)]
        overrides = (f"data.root={self.data}", *common, *settings, f"train.seed={seed}")
        config = _resolved(recipe, overrides)
        folder = self.out / RUNS / f"{describe(config)}-seed{seed}-{fingerprint(config)}"
        return PlannedRun(recipe, overrides, config, folder, needs)


def plan_trials(
    planner: Planner,
    suite: Suite,
    rows: Sequence[Row],
    tasks: Sequence[Task],
    sensors: Sequence[Sensor],
    seeds: int,
    weights: Mapping[tuple[Row, Task, Sensor], float] | None = None,
) -> list[Trial]:
    """All trials of a suite; rows that need limited training scenes are left out where nothing limits them.

    Args:
        planner: makes the runs.
        suite: which suite.
        rows: those of its rows that are wanted.
        tasks: tasks.
        sensors: of the students; rows that are teachers have both whatever is named here.
        seeds: number of seeds, counted from 0.
        weights: of calibrated rows; the recipe's own where none is given.
    """
    trials = []
    for task in tasks:
        for sensor in ("lidar",) if suite.teachers else sensors:
            limited = planner.plain(task, sensor, 0).config.data.train_scenes is not None
            for row in rows:
                if row.limited_only and not limited:
                    continue
                weight = (weights or {}).get((row, task, sensor))
                for seed in range(1 if row.once else seeds):
                    run = planner.row(row, task, sensor, seed, weight)
                    trials.append(Trial(row, task, BOTH if suite.teachers else sensor, seed, run, weight))
    return trials


def in_order(runs: Iterable[PlannedRun]) -> list[PlannedRun]:
    """Every run once, each after those it needs."""
    ordered: dict[str, PlannedRun] = {}

    def add(run: PlannedRun) -> None:
        for needed in run.needs:
            add(needed)
        ordered.setdefault(run.name, run)

    for run in runs:
        add(run)
    return list(ordered.values())


def describe(config: Config) -> str:
    """The setup of a run in a few words, for its name."""
    model, distill = config.model, config.distill
    if model.fusion is not None:
        return f"{config.task}-teacher-{model.fusion.kind}"
    sensor = "lidar" if model.lidar is not None else "camera"
    return f"{config.task}-{sensor}-" + ("plain" if distill is None else f"{distill.mask}-{distill.loss}")


def fingerprint(config: Config) -> str:
    """Eight hexadecimal digits that tell apart any two configs with different results.

    Defaults are left out, so that a setting that a later version adds changes no fingerprint; other runs count by
    the names of their folders, so that a study can be moved.
    """
    content: dict[str, Any] = config.model_dump(mode="json", exclude_defaults=True)
    for section, key in INDIFFERENT:
        content.get(section, {}).pop(key, None)
    for section, key in (("train", "init"), ("distill", "teacher")):
        if content.get(section, {}).get(key) is not None:
            content[section][key] = Path(content[section][key]).name
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:8]


def check_overrides(overrides: Iterable[str]) -> None:
    """Refuse settings that the plan makes itself.

    Raises:
        UserError: which, and what to use instead.
    """
    for override in overrides:
        key = override.partition("=")[0]
        if key in RESERVED:
            instead = {"data.root": "--data", "train.seed": "--seeds"}.get(key)
            told = f"use {instead}" if instead else "a suite's rows make it"
            raise UserError(f"--set {override}: {key} cannot be set for a whole suite; {told}")


def significant(value: float) -> float:
    """Three significant digits: weights that one can read."""
    return float(f"{value:.3g}")


def _applies(override: str, recipe: Path) -> bool:
    """Whether the section that a setting belongs to is one that the recipe has."""
    return not any(override.startswith(f"{section}.") for section in _absent(recipe))


@cache
def _resolved(recipe: Path, overrides: tuple[str, ...] = ()) -> Config:
    """A config; teachers and plain students come up many times in a plan."""
    return load_config(recipe, list(overrides))


def _absent(recipe: Path) -> tuple[str, ...]:
    config = _resolved(recipe)
    present = {
        "distill": config.distill,
        "model.camera": config.model.camera,
        "model.lidar": config.model.lidar,
        "model.fusion": config.model.fusion,
    }
    return tuple(section for section in OPTIONAL_SECTIONS if present[section] is None)
