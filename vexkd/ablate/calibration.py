"""Weights at which losses of different size pull equally hard on the student."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import ceil
from pathlib import Path

from vexkd.ablate.plan import TEACHER_SEED, PlannedRun, Planner, significant
from vexkd.ablate.suites import OWN_TEACHER, Row
from vexkd.models.missing import Sensor
from vexkd.models.perception import Task
from vexkd.plugins.errors import UserError
from vexkd.training.distillation import median_ratio
from vexkd.training.run import LOG

RATIO = "kd_ratio"
"""Key of the log's lines: ||gradient of lambda * L_KD|| / ||gradient of L_task||, over the student's weights."""
STEPS = 120
"""Least number of steps of a calibration; the ratio is measured at every fiftieth."""


@dataclass(frozen=True)
class Calibration:
    """Two short trainings at the same weight: the recipe's own loss and a row's."""

    row: Row
    task: Task
    sensor: Sensor
    own: PlannedRun
    other: PlannedRun

    def weight(self) -> float:
        """The weight of the row's loss at which its median gradient ratio is that of the recipe's own.

        Raises:
            UserError: a log holds no ratio, or a loss has no gradient.
        """
        distill = self.own.config.distill
        assert distill is not None
        if self.own.name == self.other.name:
            return distill.weight
        own, other = (median_kd_ratio(run.folder) for run in (self.own, self.other))
        for run, ratio in ((self.own, own), (self.other, other)):
            if ratio <= 0:
                raise UserError(
                    f"{run.folder}: the KD term has no gradient in half of the measurements or more, so no weight "
                    "makes losses pull equally hard; is the teacher trained?"
                )
        return significant(distill.weight * own / other)


def plan_calibrations(
    planner: Planner, rows: Iterable[Row], tasks: Sequence[Task], sensors: Sequence[Sensor], keyframes: int
) -> list[Calibration]:
    """The calibrations of all rows that want one; one seed serves all.

    Each is one epoch, in which every one of the ``keyframes`` is seen so often that it has ``STEPS`` steps.
    """

    def short(row: Row | None, task: Task, sensor: Sensor) -> PlannedRun:
        settings, teacher = ((), OWN_TEACHER) if row is None else (row.overrides, row.teacher)
        train = planner.distilled(task, sensor, TEACHER_SEED, settings, teacher).config.train
        repeat = max(train.repeat, ceil(STEPS * train.batch_size / keyframes))
        limits = ("train.epochs=1", "train.evaluate_every=0", f"train.repeat={repeat}")
        return planner.distilled(task, sensor, TEACHER_SEED, (*settings, *limits), teacher)

    return [
        Calibration(row, task, sensor, short(None, task, sensor), short(row, task, sensor))
        for task in tasks
        for sensor in sensors
        for row in rows
        if row.calibrated
    ]


def median_kd_ratio(run: Path) -> float:
    """Median over the log of a run of the gradient norm of the weighted KD term, relative to the task's.

    Raises:
        UserError: the log holds none.
    """
    ratio = median_ratio(run, RATIO) if (run / LOG).is_file() else None
    if ratio is None:
        raise UserError(
            f"{run / LOG} holds no {RATIO}, by which losses are weighted; is {run} a distillation of some dozen steps?"
        )
    return ratio
