"""What a student's masked BEV feature is compared with the teacher's by; features are (B, C, H, W), masks (B, 1, H, W).

All are computed in float32 and averaged over the batch.
"""

import torch
from torch import Tensor
from torch.nn import functional

EPSILON = 1e-6


def attention_map(feature: Tensor, mask: Tensor) -> Tensor:
    """Attention of a masked feature: vec(sum_c |M * F_c|^2), (B, H * W).

    The paper leaves the exponent open; 2 is attention transfer's usual choice (Zagoruyko and Komodakis, 2017).
    """
    return (mask.float() * feature.float()).square().sum(1).flatten(1)


def attention_transfer(student: Tensor, teacher: Tensor, mask: Tensor) -> Tensor:
    """Distance of both attention maps after each is scaled to unit length; channel counts may differ."""
    unit_student, unit_teacher = (_unit(attention_map(feature, mask)) for feature in (student, teacher))
    return torch.linalg.vector_norm(unit_student - unit_teacher, dim=1).mean()


def feature_distance(kind: str, student: Tensor, teacher: Tensor, mask: Tensor) -> Tensor:
    """``l1``, ``l2`` (squared) or ``smooth_l1`` distance of features with equal channels, averaged with weights M.

    The mask has the same power in the sum and in its divisor, so a fainter mask of the same shape costs the same.
    """
    distances = {"l1": functional.l1_loss, "l2": functional.mse_loss, "smooth_l1": functional.smooth_l1_loss}
    if kind not in distances:
        raise ValueError(f"distill.loss is attention, {', '.join(distances)}, got {kind!r}")
    distance = distances[kind](student.float(), teacher.float(), reduction="none").mean(1, keepdim=True)
    mask = mask.float()
    return ((mask * distance).sum((1, 2, 3)) / (mask.sum((1, 2, 3)) + EPSILON)).mean()


def _unit(attention: Tensor) -> Tensor:
    """Maps (B, H*W) at unit length; an empty one (a black image, no point) has length 0 and stays 0."""
    return attention / (torch.linalg.vector_norm(attention, dim=1, keepdim=True) + EPSILON)
