"""What a stage minimises: a module that maps a batch to its loss terms, of which ``loss`` is the whole."""

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

from vexkd.config import AugmentConfig, DistillConfig, ModelConfig
from vexkd.data.augment import mirrors, transform_scene, view_name
from vexkd.data.collate import Batch, collate
from vexkd.data.sample import Sample
from vexkd.distill.cache import Masks, TeacherCache, join
from vexkd.distill.distiller import Distiller
from vexkd.distill.settling import Settling
from vexkd.evaluation.evaluate import Samples
from vexkd.models.inputs import Features, Inputs, Targets
from vexkd.models.missing import leave_out
from vexkd.models.perception import Perception
from vexkd.training.sampling import evenly

PROBES = 4
"""Keyframes, spread over the training split, on which the masks are watched."""
TINY = 1e-12
"""Least gradient norm that a ratio is taken to."""


class Objective(nn.Module, ABC):
    """Base of the objectives.

    Attributes:
        teacher_config: the teacher's model, whose sensors the data must hold, if there is a teacher.
    """

    teacher_config: ModelConfig | None = None

    @property
    def batched_teacher(self) -> ModelConfig | None:
        """The teacher's model if batches must hold inputs for it."""
        return self.teacher_config

    @property
    def masks(self) -> nn.ModuleDict:
        """Trained modules that have an objective of their own."""
        return nn.ModuleDict()

    def prepare(self, dataset: Samples, device: torch.device) -> None:
        """Called before the first step, with the keyframes of the training."""

    @abstractmethod
    def forward(self, batch: Batch, epoch: int) -> dict[str, Tensor]:
        """Loss terms of a batch in an epoch (counted from 0)."""

    def measure(self, terms: dict[str, Tensor]) -> dict[str, float]:
        """Figures about loss terms that cost backward passes of their own, for the log."""
        return {}

    def end_epoch(self, epoch: int) -> None:
        """Called after the last step of every epoch."""

    def frozen_names(self) -> set[str]:
        """Names of weights, seen from the stage, that never change and need no checkpoint."""
        return set()


class TaskObjective(Objective):
    """The task's own loss: all that teachers and plain students are trained on.

    With ``sensor_dropout`` so large a share of the steps sees one sensor only, the camera or the LiDAR alike.
    """

    def __init__(self, model: Perception, sensor_dropout: float = 0.0) -> None:
        super().__init__()
        self.model, self.sensor_dropout = model, sensor_dropout

    def forward(self, batch: Batch, epoch: int) -> dict[str, Tensor]:
        """Loss terms of a batch."""
        return self.model.loss(self.model(self._seen(batch.inputs)).prediction, batch.targets)

    def _seen(self, inputs: Inputs) -> Inputs:
        if not self.sensor_dropout:
            return inputs
        # From the generator that every process seeds alike in each epoch: all of them leave out the same sensor.
        drawn = float(torch.rand(()))
        if drawn >= self.sensor_dropout:
            return inputs
        return leave_out(inputs, "camera" if drawn < self.sensor_dropout / 2 else "lidar")


class DistillObjective(Objective):
    """The student's and the mask generators' losses, see :class:`Distiller`.

    Masks learn until epochs move them no further, at most ``mask_epochs``. With ``distill.cache`` the teacher sees
    every keyframe once, before the first step; else with every batch, in ``batch.teacher_inputs``.

    Attributes:
        settling: for how many epochs masks were learned, and whether they have settled.
    """

    def __init__(
        self,
        student: Perception,
        teacher: Perception,
        config: DistillConfig,
        augment: AugmentConfig = AugmentConfig(),  # noqa: B008  immutable
    ) -> None:
        super().__init__()
        self.augment = augment
        self.distiller = Distiller(student, teacher, config)
        self.cache = TeacherCache() if config.cache else None
        self.teacher_config = teacher.config
        self.settling = Settling()
        self.probe: tuple[Features, Masks] | None = None

    @property
    def batched_teacher(self) -> ModelConfig | None:
        """The teacher's model, unless its features are cached."""
        return self.teacher_config if self.cache is None else None

    def prepare(self, dataset: Samples, device: torch.device) -> None:
        """Let the teacher see every keyframe once, mirrored in every way, where its features are kept."""
        if self.cache is not None:
            for sample in (dataset[index] for index in range(len(dataset))):
                for matrix in mirrors(self.augment):
                    self.cache.add(
                        view_name(sample.token, matrix), self._taught(transform_scene(sample, matrix), device)
                    )
        if self.masks:
            samples = [dataset[index] for index in evenly(len(dataset), PROBES)]
            if self.cache is not None:
                taught = self.cache.features([sample.token for sample in samples])
            else:
                taught = join([self._taught(sample, device) for sample in samples])
            # A resumed run has its weights by now, so these are the masks at the end of its last epoch.
            self.probe = taught, self.distiller.make_masks(taught, Targets())

    def _taught(self, sample: Sample, device: torch.device) -> Features:
        batch = collate([sample], self.distiller.teacher.config).to(device)
        return self.distiller.teacher_features(batch.inputs)

    @property
    def masks(self) -> nn.ModuleDict:
        """The mask generators, one per level."""
        return self.distiller.masks

    def learns_masks(self, epoch: int) -> bool:
        """Whether mask generators are trained in an epoch."""
        halt = self.distiller.config.mask_epochs
        return bool(self.masks) and not self.settling.settled and (halt is None or epoch < halt)

    def forward(self, batch: Batch, epoch: int) -> dict[str, Tensor]:
        """Loss terms of a batch."""
        learn = self.learns_masks(epoch)
        if self.cache is not None:
            return self._from_cache(self.cache, batch, learn)
        if batch.teacher_inputs is None:
            raise ValueError("distillation without distill.cache needs batches with teacher_inputs")
        taught = self.distiller.teacher_features(batch.teacher_inputs)
        terms: dict[str, Tensor] = self.distiller(batch.inputs, taught, batch.targets, learn)
        return terms

    def _from_cache(self, cache: TeacherCache, batch: Batch, learn: bool) -> dict[str, Tensor]:
        taught = cache.features(batch.views)
        masks = None
        if self.masks and not learn:
            masks = cache.masks(batch.views)
            if masks is None:
                masks = self.distiller.make_masks(taught, batch.targets)
                cache.add_masks(batch.views, masks)
        terms: dict[str, Tensor] = self.distiller(batch.inputs, taught, batch.targets, learn, masks)
        return terms

    def measure(self, terms: dict[str, Tensor]) -> dict[str, float]:
        """How strong imitation is beside the task, as ratios of gradient norms, and how much the masks still move.

        ``kd_ratio``: lambda * L_KD over L_task, on all weights of the student; ``kd_ratio_LEVEL`` of one level alone.
        ``mask_ratio``: mu * L_KD over the task loss under the mask, on the generators' weights, while they learn;
        ``mask_moved``: mean change of the masks by the last epoch.
        """
        weight = self.distiller.config.weight
        student = [parameter for parameter in self.distiller.student.parameters() if parameter.requires_grad]
        task = max(gradient_norm(terms["task"], student), TINY)
        ratios = {"kd_ratio": gradient_norm(terms["kd"], student) / task}
        if len(self.distiller.config.levels) > 1:
            for level in self.distiller.config.levels:
                ratios[f"kd_ratio_{level}"] = weight * gradient_norm(terms[f"kd_{level}"], student) / task
        if "mask" in terms:
            generators = list(self.masks.parameters())
            masked = max(gradient_norm(terms["masked"], generators), TINY)
            ratios["mask_ratio"] = gradient_norm(terms["mimicry"], generators) / masked
            if self.settling.epochs:
                ratios["mask_moved"] = float(self.settling.moved)
        return ratios

    def end_epoch(self, epoch: int) -> None:
        """See whether the masks have settled: how far an epoch moved those of a few keyframes."""
        if self.probe is not None and self.learns_masks(epoch):
            taught, before = self.probe
            after = self.distiller.make_masks(taught, Targets())
            self.settling.end_epoch(before, after)
            self.probe = taught, after

    def frozen_names(self) -> set[str]:
        """The teacher's weights."""
        return {f"objective.distiller.teacher.{name}" for name in self.distiller.teacher.state_dict()}


def gradient_norm(loss: Tensor, parameters: list[nn.Parameter]) -> float:
    """Euclidean norm of a loss's gradient over all parameters; the graph is kept, no ``.grad`` is touched."""
    gradients = torch.autograd.grad(loss, parameters, retain_graph=True, allow_unused=True)
    return float(nn.utils.get_total_norm([gradient for gradient in gradients if gradient is not None]))
