"""What a student's masked BEV feature is compared with the teacher's by; features are (B, C, H, W), masks (B, 1, H, W).

All are computed in float32 and averaged over the batch. A mask of 0 leaves a cell out.
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
    """The paper's L_KD: distance of both attention maps, each at unit length; channel counts may differ."""
    unit_student, unit_teacher = (_unit(attention_map(feature, mask)) for feature in (student, teacher))
    return torch.linalg.vector_norm(unit_student - unit_teacher, dim=1).mean()


def feature_distance(
    kind: str, student: Tensor, teacher: Tensor, mask: Tensor, spread_mask: Tensor | None = None
) -> Tensor:
    """``l1``, ``l2`` (squared) or ``smooth_l1`` distance of features with equal channels, weighted by the mask.

    It is divided by the same distance between the teacher and its own mean over the masked cells, channel by channel:
    0 for a perfect copy, 1 for a student that says the same everywhere, whatever the teacher's scale, the number of
    channels and the strength of the mask. So a weight means the same for every teacher, level and task. Cells that are
    empty in both maps add to neither sum, and a constant floor of the teacher's has no part in it.

    The teacher's own distance is taken under ``spread_mask``, by default the mask itself. A mask that learns needs a
    fixed one there: then it lowers the loss by leaving out what the student gets wrong, and by nothing else.
    """
    distances = {"l1": functional.l1_loss, "l2": functional.mse_loss, "smooth_l1": functional.smooth_l1_loss}
    if kind not in distances:
        raise ValueError(f"distill.loss is attention, {', '.join(distances)}, got {kind!r}")
    student, teacher, mask = student.float(), teacher.float(), mask.float()
    weight = mask if spread_mask is None else spread_mask.float().expand_as(mask)
    mean = (weight * teacher).sum((2, 3), keepdim=True) / (weight.sum((2, 3), keepdim=True) + EPSILON)

    def total(other: Tensor, weight: Tensor) -> Tensor:
        return (weight * distances[kind](other, teacher, reduction="none")).mean(1).sum((1, 2))

    spread = total(mean.expand_as(teacher), weight)
    # A teacher that says the same everywhere (or a mask that is shut) has nothing to imitate.
    return torch.where(spread > EPSILON, total(student, mask) / spread.clamp(min=EPSILON), 0.0).mean()


def _unit(attention: Tensor) -> Tensor:
    """Maps (B, H*W) at unit length; an empty one (a black image, no point) has length 0 and stays 0."""
    return attention / (torch.linalg.vector_norm(attention, dim=1, keepdim=True) + EPSILON)
