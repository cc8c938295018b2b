"""A run folder opened for pictures, and what it makes of a keyframe."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from vexkd.config import Config
from vexkd.data.collate import collate
from vexkd.data.sample import Sample
from vexkd.distill.distiller import Distiller
from vexkd.models.inputs import Output
from vexkd.models.perception import Perception
from vexkd.training.distillation import load_distiller
from vexkd.training.run import load_run

ROLES = {"teacher": "teacher", "student": "plain student", "distill": "distilled student"}


class Run(NamedTuple):
    """A run folder, opened; ``distiller`` where it is a distillation's."""

    name: str
    config: Config
    model: Perception
    distiller: Distiller | None

    @property
    def title(self) -> str:
        """Name and role, for titles of pictures."""
        return f"{self.name} ({ROLES[self.config.train.stage]})"


def open_run(path: Path) -> Run:
    """Load a run folder for pictures.

    Raises:
        UserError: the run or its teacher cannot be read.
    """
    config, model = load_run(path)
    distiller = load_distiller(path) if config.distill is not None else None
    return Run(path.resolve().name, config, model, distiller)


@torch.inference_mode()
def run_model(model: Perception, sample: Sample) -> Output:
    """Features and raw prediction of a model for one keyframe."""
    output: Output = model(collate([sample], model.config).inputs)
    return output


def first(values: torch.Tensor) -> NDArray[np.float32]:
    """The first of a batch as an array."""
    array: NDArray[np.float32] = values[0].float().cpu().numpy()
    return array
