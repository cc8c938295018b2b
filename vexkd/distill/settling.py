"""When learned masks have settled: epochs that move them no further end their learning."""

import torch
from torch import Tensor, nn

from vexkd.distill.cache import Masks

STILL = 0.02
"""Mean change of a mask's cells, of 1, up to which an epoch counts as still."""
PATIENCE = 2
"""Still epochs in a row after which masks have settled."""


class Settling(nn.Module):
    """Counts epochs of mask learning; its state is buffers, so that a checkpoint holds it."""

    learned: Tensor
    still: Tensor
    moved: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("learned", torch.tensor(0))
        self.register_buffer("still", torch.tensor(0))
        # By the last epoch; nothing before the first has ended.
        self.register_buffer("moved", torch.tensor(0.0))

    @property
    def settled(self) -> bool:
        """Whether the masks move no more."""
        return int(self.still) >= PATIENCE

    @property
    def epochs(self) -> int:
        """Epochs that the masks learned for."""
        return int(self.learned)

    def end_epoch(self, before: Masks, after: Masks) -> None:
        """Compare the masks (B, 1, H, W) of the same keyframes before and after an epoch of learning."""
        self.moved.copy_(torch.stack([(after[level] - before[level]).abs().mean() for level in after]).max())
        self.still.copy_(torch.where(self.moved <= STILL, self.still + 1, 0))
        self.learned += 1
