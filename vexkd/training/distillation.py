"""The teacher and the masks of a distillation run, from and to run folders."""

from pathlib import Path

from torch import nn

from vexkd.config import Config
from vexkd.distill.distiller import Distiller
from vexkd.models.perception import Perception
from vexkd.plugins.errors import UserError
from vexkd.training.objective import DistillObjective
from vexkd.training.run import MASKS, check_names, load_run, read_weights


def distill_objective(student: Perception, config: Config) -> DistillObjective:
    """The objective of a distillation stage around ``student``; the teacher is read from its run folder.

    Raises:
        UserError: no teacher is named, it cannot be read, or it cannot teach this student.
    """
    if config.distill is None or config.distill.teacher is None:
        raise UserError("distillation needs a teacher: --set distill.teacher=RUN, the run folder of a teacher")
    _, teacher = load_run(config.distill.teacher)
    return DistillObjective(student, teacher, config.distill)


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
