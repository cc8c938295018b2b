"""A frozen teacher and masks around a student, from outside: the student's code and weights know nothing of it.

Two objectives run side by side, each with gradients for its own parameters only:

    student (and its adapters):  L_task + lambda * sum_levels L_KD(F_student, F_teacher, M), M held fixed
    mask generators:             sum_levels L_task(teacher from M * F_teacher) + mu * L_KD(...), the student held fixed
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from vexkd.config import DistillConfig, ModelConfig
from vexkd.distill.losses import attention_transfer, feature_distance
from vexkd.distill.mask_generator import MaskGenerator
from vexkd.distill.masks import activation_mask, gaussian_mask, key_points_mask, whole_mask
from vexkd.models.inputs import Features, Inputs, Targets
from vexkd.models.perception import Level, Perception, low_channels
from vexkd.plugins.errors import UserError


class Distiller(nn.Module):
    """Student, frozen teacher and, for learned masks, one mask generator per level.

    Raises:
        UserError: teacher and student differ in task or range, or the masks need a query the teacher lacks.
    """

    def __init__(self, student: Perception, teacher: Perception, config: DistillConfig) -> None:
        super().__init__()
        check_pair(student, teacher, config)
        self.config = config
        self.student = student
        self.teacher = teacher.requires_grad_(False).eval()
        self.masks = nn.ModuleDict()
        self.adapters = nn.ModuleDict()
        grid, fusion = teacher.config.grid, teacher.config.fusion
        for level in config.levels:
            channels = level_channels(teacher.config, level)
            if config.mask in ("learned", "random_query"):
                query = fusion.channels if config.mask == "learned" and fusion is not None else None
                self.masks[level] = MaskGenerator(config, query, channels, (grid.height, grid.width))
            if config.loss != "attention":
                self.adapters[level] = nn.Conv2d(level_channels(student.config, level), channels, 1)

    def train(self, mode: bool = True) -> "Distiller":
        """Training mode for all but the teacher, whose normalisation layers keep their statistics."""
        super().train(mode)
        self.teacher.eval()
        return self

    def forward(
        self, inputs: Inputs, teacher_inputs: Inputs, targets: Targets, learn_masks: bool = True
    ) -> dict[str, Tensor]:
        """Loss terms of a batch; backward on ``loss`` serves both objectives at once.

        Args:
            inputs: for the student.
            teacher_inputs: the same samples for the teacher; its frustum points differ where its camera geometry does.
            targets: ground truth of the task (and boxes, for the masks ``gaussian`` and ``key_points``).
            learn_masks: False halts mask learning: masks are still computed, their objective is not.

        Returns:
            ``loss`` = ``student`` + ``mask``; the parts ``task``, ``kd_LEVEL``, ``masked_LEVEL`` (task loss of the
            teacher on its masked feature) are for the log. ``mask`` and ``masked_LEVEL`` only while masks are learned.
        """
        learn_masks = learn_masks and bool(self.masks)
        taught = self.teacher_features(teacher_inputs)
        masks = self.make_masks(taught, targets, learn_masks)
        output = self.student(inputs)
        task = self.student.loss(output.prediction, targets)["loss"]

        terms: dict[str, Tensor] = {}
        student, generators = task, task.new_zeros(())
        for level in self.config.levels:
            teacher_map, mask = getattr(taught, level), masks[level]
            student_map = self._aligned(level, getattr(output, level), teacher_map)
            terms[f"kd_{level}"] = self._distance(student_map, teacher_map, mask.detach())
            student = student + self.config.weight * terms[f"kd_{level}"]
            if learn_masks:
                masked = self.teacher.head_from(level, (mask * teacher_map).to(teacher_map.dtype))
                terms[f"masked_{level}"] = self.teacher.loss(masked, targets)["loss"]
                imitation = self._distance(student_map.detach(), teacher_map, mask)
                generators = generators + terms[f"masked_{level}"] + self.config.mu * imitation
        if learn_masks:
            terms["mask"] = generators
        return {"loss": student + generators, "student": student, "task": task, **terms}

    @torch.no_grad()
    def teacher_features(self, inputs: Inputs) -> Features:
        """The frozen teacher's BEV features."""
        return self.teacher.features(inputs)

    def make_masks(self, taught: Features, targets: Targets, learn: bool = False) -> dict[Level, Tensor]:
        """Masks (B, 1, H, W) per level for the teacher's features; gradients reach the generators where ``learn``."""
        with torch.set_grad_enabled(learn and torch.is_grad_enabled()):
            return {level: self._mask(level, taught, targets) for level in self.config.levels}

    def _mask(self, level: Level, taught: Features, targets: Targets) -> Tensor:
        feature: Tensor = getattr(taught, level)
        if level in self.masks:
            return self.masks[level](taught.query, feature)
        if self.config.mask == "whole":
            return whole_mask(feature)
        if self.config.mask == "activation":
            return activation_mask(feature)
        if targets.boxes is None:
            raise ValueError(f"distill.mask={self.config.mask} needs boxes in the targets")
        draw = gaussian_mask if self.config.mask == "gaussian" else key_points_mask
        return draw(targets.boxes, self.teacher.config.grid)

    def _aligned(self, level: Level, student: Tensor, teacher: Tensor) -> Tensor:
        """The student's map, adapted to the teacher's channels where the loss compares them, at the teacher's size."""
        if level in self.adapters:
            student = self.adapters[level](student)
        if student.shape[2:] != teacher.shape[2:]:
            student = functional.interpolate(student, size=teacher.shape[2:], mode="bilinear", align_corners=False)
        return student

    def _distance(self, student: Tensor, teacher: Tensor, mask: Tensor) -> Tensor:
        if self.config.loss == "attention":
            return attention_transfer(student, teacher, mask)
        return feature_distance(self.config.loss, student, teacher, mask)


def level_channels(config: ModelConfig, level: Level) -> int:
    """Channels of a model's BEV feature at a level."""
    return low_channels(config) if level == "low" else config.encoder.out_channels


def check_pair(student: Perception, teacher: Perception, config: DistillConfig) -> None:
    """Refuse a teacher that cannot teach this student with a one-line reason.

    Raises:
        UserError: see :class:`Distiller`.
    """
    if student.task != teacher.task:
        raise UserError(
            f"the teacher was trained for {teacher.task}, the student is for {student.task}; "
            f"set distill.teacher to a {student.task} run"
        )
    ranges = [model.config.grid.range for model in (student, teacher)]
    if ranges[0][:2] + ranges[0][3:5] != ranges[1][:2] + ranges[1][3:5]:
        raise UserError(
            f"student and teacher must cover the same area: model.grid spans x {student.config.grid.x} "
            f"y {student.config.grid.y}, the teacher's x {teacher.config.grid.x} y {teacher.config.grid.y}"
        )
    fusion = teacher.config.fusion
    if config.mask == "learned" and (fusion is None or fusion.kind != "mgfm"):
        raise UserError(
            "distill.mask=learned starts from the query of a teacher with model.fusion.kind=mgfm, and this teacher "
            "has none; set distill.mask=random_query"
        )
