"""The teacher and the masks of a distillation run, from and to run folders, and what is reported of them."""

import json
import logging
from pathlib import Path
from statistics import median
from typing import Any

from torch import nn

from vexkd.config import Config
from vexkd.distill.diagnostics import mask_figures
from vexkd.distill.distiller import Distiller
from vexkd.evaluation.evaluate import Samples
from vexkd.models.perception import Perception
from vexkd.plugins.errors import UserError
from vexkd.training.objective import DistillObjective
from vexkd.training.run import LOG, MASKS, check_names, load_run, read_weights
from vexkd.training.sampling import evenly

logger = logging.getLogger(__name__)

MASK_SAMPLES = 32
"""Keyframes over which the masks' figures are taken."""


def distill_objective(student: Perception, config: Config) -> DistillObjective:
    """The objective of a distillation stage around ``student``; the teacher is read from its run folder.

    Raises:
        UserError: no teacher is named, it cannot be read, or it cannot teach this student.
    """
    if config.distill is None or config.distill.teacher is None:
        raise UserError("distillation needs a teacher: --set distill.teacher=RUN, the run folder of a teacher")
    _, teacher = load_run(config.distill.teacher)
    return DistillObjective(student, teacher, config.distill, config.train.augment)


def mask_weights(objective: DistillObjective) -> dict[str, nn.Parameter]:
    """Weights of the mask generators (and adapters) under their names in a :class:`Distiller`."""
    parts = {"masks": objective.distiller.masks, "adapters": objective.distiller.adapters}
    return {f"{part}.{name}": value for part, module in parts.items() for name, value in module.state_dict().items()}


def load_distiller(path: Path) -> Distiller:
    """Student, teacher and learned masks of a distillation run, for pictures and studies; in evaluation mode.

    Raises:
        UserError: no distillation run, or a file of it or of its teacher's is missing or damaged.
    """
    config, student = load_run(path)
    if config.distill is None:
        raise UserError(f"{path} is a {config.train.stage} run; masks belong to runs with train.stage=distill")
    objective = distill_objective(student, config)
    expected = mask_weights(objective)
    if expected:
        weights = read_weights(path, MASKS)
        check_names(path / MASKS, weights, expected)
        objective.distiller.load_state_dict(weights, strict=False)
    return objective.distiller.eval()


def distillation_report(objective: DistillObjective, out: Path, dataset: Samples) -> dict[str, Any]:
    """What ``metrics.json`` says of a distillation; a warning is logged where imitation outweighed the task.

    Args:
        objective: after training.
        out: its run folder.
        dataset: validation keyframes with the teacher's sensors; the masks' figures are means over at most
            ``MASK_SAMPLES`` of them, evenly spread.

    Returns:
        ``kd_ratio``: median over the run of the gradient norms' ratio, lambda * L_KD to the task; ``masks``: see
        :func:`mask_figures`; for learned masks also ``mask_ratio`` and ``mask_epochs``, how many epochs they learned
        for, and ``masks_settled``.
    """
    ratio = median_ratio(out, "kd_ratio")
    if ratio is not None and ratio > 1:
        logger.warning(
            "%s: imitation outweighs the task: the gradient of distill.weight times the KD term was %.1f times the "
            "task's (median over the run); try distill.weight=%.2g",
            out, ratio, objective.distiller.config.weight / ratio,
        )  # fmt: skip
    chosen = evenly(len(dataset), MASK_SAMPLES)
    masks = mask_figures(objective.distiller.eval(), (dataset[index] for index in chosen))
    report: dict[str, Any] = {"kd_ratio": ratio, "mask_samples": len(chosen), "masks": masks}
    if objective.masks:
        report |= {
            "mask_ratio": median_ratio(out, "mask_ratio"),
            "mask_epochs": objective.settling.epochs,
            "masks_settled": objective.settling.settled,
        }
    return report


def median_ratio(run: Path, name: str) -> float | None:
    """Median of a measured ratio over a run's log; None where none was measured."""
    lines = (run / LOG).read_text(encoding="utf-8").splitlines()
    values = [row[name] for row in map(json.loads, lines) if name in row]
    return median(values) if values else None
