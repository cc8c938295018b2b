"""Counts that several processes share, so that together they learn what one process would on the whole batch."""

import torch
from torch import Tensor, distributed


def normaliser(count: Tensor) -> Tensor:
    """What a process divides the sum of its errors by: the count of all processes, at least 1, over their number.

    The mean over processes of such quotients is the sum of all errors over the count of all, and so is the mean of
    gradients that data-parallel training takes. A process's own count would weigh an object more, the fewer others
    share its process's part of the batch. One process divides by its own count.

    Without gradients the count stays this process's own: evaluations and figures may be one process's business, and
    the others would not take part in the sum.

    Args:
        count: errors that take part in a loss, any shape, the same in every process.
    """
    if not (torch.is_grad_enabled() and distributed.is_available() and distributed.is_initialized()):
        return count.clamp(min=1)
    total = count.detach().clone()
    distributed.all_reduce(total)
    return total.clamp(min=1) / distributed.get_world_size()
