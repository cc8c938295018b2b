"""Which keyframe a training step sees: a pure function of the seed and the epoch, whatever the number of workers."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import Sampler

from vexkd.classes import DETECTION_CLASSES


@dataclass(frozen=True)
class Draw:
    """One training example: the keyframe's index, and the epoch and position that seed its augmentation."""

    index: int
    epoch: int
    position: int


class TrainingSampler(Sampler[Draw]):
    """Shuffles anew in each epoch; each of ``world`` processes gets its own equal share.

    Args:
        count: number of keyframes.
        seed: of the run.
        repeat: times each keyframe is seen in an epoch.
        classes: detection classes in each keyframe, for class-balanced sampling; None for each keyframe once.
        rank: which share.
        world: number of shares; the last examples of an epoch are left out so that all are equal.
    """

    def __init__(
        self,
        count: int,
        seed: int,
        repeat: int = 1,
        classes: Sequence[set[int]] | None = None,
        rank: int = 0,
        world: int = 1,
    ) -> None:
        self.count, self.seed, self.repeat, self.classes = count, seed, repeat, classes
        self.rank, self.world = rank, world
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Lightning calls this before each epoch."""
        self.epoch = epoch

    def _indices(self, epoch: int) -> NDArray[np.int64]:
        rng = np.random.default_rng([self.seed, epoch])
        once = np.arange(self.count) if self.classes is None else class_balanced(self.classes, rng)
        order = rng.permutation(np.tile(once, self.repeat))
        # Fewer examples than processes: go round, so that no process is left without work.
        order = np.resize(order, max(len(order), self.world))
        return order[: len(order) // self.world * self.world]

    def __len__(self) -> int:
        return len(self._indices(0)) // self.world

    def __iter__(self) -> Iterator[Draw]:
        order = self._indices(self.epoch)
        return (Draw(int(order[i]), self.epoch, i) for i in range(self.rank, len(order), self.world))


def class_balanced(classes: Sequence[set[int]], rng: np.random.Generator) -> NDArray[np.int64]:
    """Class-balanced grouping and sampling (CBGS): indices with which every class that occurs comes up equally often.

    From the keyframes of each class the same number is drawn with replacement: the sum of all classes' keyframes
    divided by the number of classes that occur.
    """
    by_class = [np.flatnonzero([label in present for present in classes]) for label in range(len(DETECTION_CLASSES))]
    by_class = [indices for indices in by_class if len(indices)]
    if not by_class:
        return np.arange(len(classes))
    share = max(1, sum(len(indices) for indices in by_class) // len(by_class))
    return np.concatenate([rng.choice(indices, share) for indices in by_class])


def evenly(count: int, chosen: int) -> list[int]:
    """At most ``chosen`` indices below ``count``, spread evenly, the first and the last among them."""
    return [int(index) for index in np.unique(np.linspace(0, count - 1, min(chosen, count)).astype(np.int64))]
