"""A frozen teacher and masks around a student, from outside: the student's code and weights know nothing of it.

Two objectives run side by side, each with gradients for its own parameters only:

    student (and its adapters):  L_task + lambda * sum_levels L_KD(F_student, F_teacher, M), M held fixed
    mask generators:             sum_levels L_task(teacher from M * F_teacher) + mu * L_KD(...), the student held fixed
"""

import torch
from torch import Tensor, nn

from vexkd.config import DistillConfig, ModelConfig
from vexkd.distill.cache import Masks
from vexkd.distill.common_area import CommonArea
from vexkd.distill.fake_quantisation import FakeQuantisation
from vexkd.distill.losses import attention_transfer, feature_distance
from vexkd.distill.mask_generator import MaskGenerator
from vexkd.distill.masks import activation_mask, gaussian_mask, key_points_mask, whole_mask
from vexkd.models.inputs import Features, Inputs, Targets
from vexkd.models.perception import Level, Perception, low_channels
from vexkd.plugins.errors import UserError


class Distiller(nn.Module):
    """Student, frozen teacher and, for learned masks, one mask generator per level.

    Raises:
        UserError: teacher and student differ in task or classes, their areas do not meet, or the masks need a query the
            teacher lacks.
    """

    def __init__(self, student: Perception, teacher: Perception, config: DistillConfig) -> None:
        super().__init__()
        check_pair(student, teacher, config)
        self.config = config
        self.student = student
        self.teacher = teacher.requires_grad_(False).eval()
        self.quantisation = FakeQuantisation(student) if config.student_precision == "int8" else None
        self.masks = nn.ModuleDict()
        self.adapters = nn.ModuleDict()
        grid, fusion = teacher.config.grid, teacher.config.fusion
        self.area = CommonArea(student.config.grid, grid)
        if not self.area.inside.any():
            raise UserError(
                f"student and teacher have no area in common: model.grid spans x {student.config.grid.x} "
                f"y {student.config.grid.y}, the teacher's x {grid.x} y {grid.y}"
            )
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
        self, inputs: Inputs, taught: Features, targets: Targets, learn_masks: bool = True, masks: Masks | None = None
    ) -> dict[str, Tensor]:
        """Loss terms of a batch; backward on ``loss`` serves both objectives at once.

        Args:
            inputs: for the student.
            taught: the teacher's features of the same samples, see :meth:`teacher_features`.
            targets: ground truth of the task (and boxes, for the masks ``gaussian`` and ``key_points``).
            learn_masks: False halts mask learning: masks are still computed, their objective is not.
            masks: take these instead of computing them; only where they are not learned.

        Returns:
            ``loss`` = ``student`` + ``mask``; ``student`` = ``task`` + ``kd``; the parts ``kd_LEVEL`` (times lambda:
            ``kd``), ``masked_LEVEL`` (task loss of the teacher on its masked feature) and ``mimicry`` (mu times the KD
            term of the masks) are for the log. ``mask`` and its parts only while masks are learned.
        """
        learn_masks = learn_masks and bool(self.masks)
        if masks is None or learn_masks:
            masks = self.make_masks(taught, targets, learn_masks)
        output = self.student(inputs) if self.quantisation is None else self.quantisation(self.student, inputs)
        task = self.student.loss(output.prediction, targets)["loss"]
        student_maps = {level: self._aligned(level, getattr(output, level)) for level in self.config.levels}
        terms = {"task": task}
        for level, feature in student_maps.items():
            terms[f"kd_{level}"] = self._distance(feature, getattr(taught, level), masks[level].detach())
        terms["kd"] = self.config.weight * torch.stack([terms[f"kd_{level}"] for level in student_maps]).sum()
        terms["student"] = terms["loss"] = task + terms["kd"]
        if learn_masks:
            terms |= self._mask_terms(student_maps, taught, masks, targets)
            terms["loss"] = terms["student"] + terms["mask"]
        return terms

    def _mask_terms(
        self, student_maps: dict[Level, Tensor], taught: Features, masks: Masks, targets: Targets
    ) -> dict[str, Tensor]:
        """The mask generators' objective and its parts, in float32 throughout.

        Student and masks share one scaled backward pass; a float16 overflow here would cost the student its step.
        """
        terms: dict[str, Tensor] = {}
        with torch.autocast(taught.low.device.type, enabled=False):
            for level, mask in masks.items():
                feature = getattr(taught, level).float()
                terms[f"masked_{level}"] = self.teacher.loss(self.teacher.head_from(level, mask * feature), targets)[
                    "loss"
                ]
            mimicry = [
                self._distance(student_maps[level].detach(), getattr(taught, level), mask, self.area.inside)
                for level, mask in masks.items()
            ]
            terms["mimicry"] = self.config.mu * torch.stack(mimicry).sum()
            terms["masked"] = torch.stack([terms[f"masked_{level}"] for level in masks]).sum()
            terms["mask"] = terms["masked"] + terms["mimicry"]
        return terms

    @torch.no_grad()
    def teacher_features(self, inputs: Inputs) -> Features:
        """The frozen teacher's BEV features."""
        return self.teacher.features(inputs)

    def make_masks(self, taught: Features, targets: Targets, learn: bool = False) -> Masks:
        """Masks (B, 1, H, W) per level for the teacher's features; gradients reach the generators where ``learn``."""
        with (
            torch.set_grad_enabled(learn and torch.is_grad_enabled()),
            torch.autocast(taught.low.device.type, enabled=False),
        ):
            return {level: self._mask(level, taught, targets) for level in self.config.levels}

    def _mask(self, level: Level, taught: Features, targets: Targets) -> Tensor:
        feature: Tensor = getattr(taught, level).float()
        if level in self.masks:
            return self.masks[level](None if taught.query is None else taught.query.float(), feature)
        if self.config.mask == "whole":
            return whole_mask(feature)
        if self.config.mask == "activation":
            return activation_mask(feature)
        if targets.boxes is None:
            raise ValueError(f"distill.mask={self.config.mask} needs boxes in the targets")
        draw = gaussian_mask if self.config.mask == "gaussian" else key_points_mask
        return draw(targets.boxes, self.teacher.config.grid)

    def _aligned(self, level: Level, student: Tensor) -> Tensor:
        """The student's map on the teacher's cells, adapted to the teacher's channels where the loss compares them."""
        if level in self.adapters:
            student = self.adapters[level](student)
        aligned: Tensor = self.area(student)
        return aligned

    def _distance(self, student: Tensor, teacher: Tensor, mask: Tensor, spread_mask: Tensor | None = None) -> Tensor:
        mask = mask * self.area.inside
        if self.config.loss == "attention":
            # Attention squares what the mask is multiplied with, and activation is a weight of the loss.
            return attention_transfer(student, teacher, mask.sqrt() if self.config.mask == "activation" else mask)
        return feature_distance(self.config.loss, student, teacher, mask, spread_mask)


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
    classes = [{name for group in model.config.head.groups for name in group} for model in (student, teacher)]
    if student.task == "detection" and classes[0] != classes[1]:
        raise UserError(
            f"student and teacher must know the same classes: model.head.groups holds {_names(classes[0])}, "
            f"the teacher's {_names(classes[1])}"
        )
    fusion = teacher.config.fusion
    if config.mask == "learned" and (fusion is None or fusion.kind != "mgfm"):
        raise UserError(
            "distill.mask=learned starts from the query of a teacher with model.fusion.kind=mgfm, and this teacher "
            "has none; set distill.mask=random_query"
        )


def _names(classes: set[str]) -> str:
    return ", ".join(sorted(classes))
