"""What a frozen teacher says about keyframes that are mirrored at most: computed once, kept in memory."""

from collections.abc import Sequence

import torch
from torch import Tensor

from vexkd.models.inputs import Features
from vexkd.models.perception import Level

Masks = dict[Level, Tensor]


class TeacherCache:
    """Teacher's features, and masks once these are learned, by a view of a keyframe; each entry is a batch of one."""

    def __init__(self) -> None:
        self._features: dict[str, Features] = {}
        self._masks: dict[str, Masks] = {}

    def add(self, view: str, features: Features) -> None:
        """Keep the features of a view, named by :func:`vexkd.data.augment.view_name`."""
        self._features[view] = features

    def features(self, views: Sequence[str]) -> Features:
        """The features of a batch; KeyError for a view that was not added."""
        return join([self._features[view] for view in views])

    def masks(self, views: Sequence[str]) -> Masks | None:
        """The masks of a batch, None unless all of them are there."""
        if not all(view in self._masks for view in views):
            return None
        found = [self._masks[view] for view in views]
        return {level: torch.cat([masks[level] for masks in found]) for level in found[0]}

    def add_masks(self, views: Sequence[str], masks: Masks) -> None:
        """Keep masks that change no more."""
        for i, view in enumerate(views):
            self._masks[view] = {level: mask[i : i + 1].detach() for level, mask in masks.items()}


def join(features: Sequence[Features]) -> Features:
    """Features of several batches as those of one."""
    low, high, query = zip(*features, strict=True)
    return Features(torch.cat(low), torch.cat(high), None if query[0] is None else torch.cat(query))
