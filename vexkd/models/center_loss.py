"""Loss of the centre head: Gaussian focal loss on the heat maps, L1 on the box codes (CenterPoint)."""

import torch
from torch import Tensor
from torch.nn import functional

from vexkd.config import ModelConfig
from vexkd.models.center_targets import CenterTargets, center_targets, class_layout
from vexkd.models.reduce import normaliser

BOX_WEIGHT = 0.25
VELOCITY_WEIGHT = 0.2
"""Weight of vx and vy among the codes, as in CenterPoint's configuration."""


def detection_loss(
    raw: dict[str, Tensor], boxes: list[Tensor], labels: list[Tensor], config: ModelConfig
) -> dict[str, Tensor]:
    """Loss of raw maps against boxes (M_b, 9) and labels (M_b,): ``heatmap`` + ``box`` = ``loss``, all scalars.

    Both terms are averaged over the objects of a group (at least one), those of all processes, and summed over groups.
    """
    targets = center_targets(boxes, labels, config.head, config.grid)
    groups = len(config.head.groups)
    member = functional.one_hot(targets.group, groups).float() * targets.valid[..., None]
    counts = normaliser(member.sum((0, 1)))
    heatmap = heatmap_loss(raw["heatmap"].float(), targets.heatmap, class_layout(config.head)[1], counts)
    box = BOX_WEIGHT * code_loss(raw["boxes"].float(), targets, member @ counts.reciprocal())
    return {"loss": heatmap + box, "heatmap": heatmap, "box": box}


def heatmap_loss(logits: Tensor, target: Tensor, channel_groups: list[int], counts: Tensor) -> Tensor:
    """Gaussian focal loss (exponents 2 and 4) of (B, n, H, W), divided by each group's count (G,), summed."""
    focal = gaussian_focal(logits, target).sum((0, 2, 3))
    weight = counts.reciprocal()[torch.tensor(channel_groups, device=counts.device)]
    return (focal * weight).sum()


def gaussian_focal(logits: Tensor, target: Tensor) -> Tensor:
    """-(1-p)^2 log p where the target is 1, else -(1-t)^4 p^2 log(1-p); same shape as the logits."""
    p = logits.sigmoid()
    positive = (1 - p) ** 2 * functional.logsigmoid(logits)
    negative = (1 - target) ** 4 * p**2 * functional.logsigmoid(-logits)
    return -torch.where(target == 1, positive, negative)


def code_loss(maps: Tensor, targets: CenterTargets, weight: Tensor) -> Tensor:
    """L1 of code maps (B, G, 10, H, W) at the objects' cells, weighted (B, M); unknown velocity is skipped."""
    codes = maps.flatten(3).transpose(2, 3).flatten(1, 2)
    predicted = codes.gather(1, targets.place[..., None].expand(-1, -1, codes.shape[-1]))
    known = targets.codes.isfinite()
    error = (predicted - torch.where(known, targets.codes, 0.0)).abs() * known
    error = torch.cat([error[..., :8], VELOCITY_WEIGHT * error[..., 8:]], dim=-1)
    return (error.sum(-1) * weight).sum()
