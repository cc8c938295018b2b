"""What a stage minimises: a module that maps a batch to its loss terms, of which ``loss`` is the whole."""

from abc import ABC, abstractmethod

from torch import Tensor, nn

from vexkd.config import DistillConfig, ModelConfig
from vexkd.data.collate import Batch
from vexkd.distill.distiller import Distiller
from vexkd.models.perception import Perception


class Objective(nn.Module, ABC):
    """Base of the objectives.

    Attributes:
        teacher_config: the model for which batches hold ``teacher_inputs``, if there is a teacher.
    """

    teacher_config: ModelConfig | None = None

    @property
    def masks(self) -> nn.ModuleDict:
        """Trained modules that have an objective of their own."""
        return nn.ModuleDict()

    @abstractmethod
    def forward(self, batch: Batch, epoch: int) -> dict[str, Tensor]:
        """Loss terms of a batch in an epoch (counted from 0)."""

    def frozen_names(self) -> set[str]:
        """Names of weights, seen from the stage, that never change and need no checkpoint."""
        return set()


class TaskObjective(Objective):
    """The task's own loss: all that teachers and plain students are trained on."""

    def __init__(self, model: Perception) -> None:
        super().__init__()
        self.model = model

    def forward(self, batch: Batch, epoch: int) -> dict[str, Tensor]:
        """Loss terms of a batch."""
        return self.model.loss(self.model(batch.inputs).prediction, batch.targets)


class DistillObjective(Objective):
    """The student's and the mask generators' losses, see :class:`Distiller`; masks halt after ``mask_epochs``."""

    def __init__(self, student: Perception, teacher: Perception, config: DistillConfig) -> None:
        super().__init__()
        self.distiller = Distiller(student, teacher, config)
        self.teacher_config = teacher.config

    @property
    def masks(self) -> nn.ModuleDict:
        """The mask generators, one per level."""
        return self.distiller.masks

    def forward(self, batch: Batch, epoch: int) -> dict[str, Tensor]:
        """Loss terms of a batch; masks are learned in the first ``mask_epochs`` epochs."""
        if batch.teacher_inputs is None:
            raise ValueError("distillation needs batches with teacher_inputs")
        halt = self.distiller.config.mask_epochs
        return self.distiller(batch.inputs, batch.teacher_inputs, batch.targets, halt is None or epoch < halt)

    def frozen_names(self) -> set[str]:
        """The teacher's weights."""
        return {f"objective.distiller.teacher.{name}" for name in self.distiller.teacher.state_dict()}
