"""Exponential moving average of a model's weights and of its normalisation statistics."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class Ema:
    """Keeps averaged copies of the parameters and buffers of a model.

    The decay of step t is min(decay, (1 + t) / (10 + t)): a short run is not held back by its random start. Whole
    numbers (counters) are copied. With decay 0 the average is the model itself and nothing is kept.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.model = model
        self.decay = decay
        self.steps = 0
        self.average = {name: value.detach().clone() for name, value in model.state_dict().items()} if decay else {}

    @torch.no_grad()
    def update(self) -> None:
        """Take the model's present weights into the average; call after every optimiser step."""
        self.steps += 1
        weight = 1 - min(self.decay, (1 + self.steps) / (10 + self.steps))
        state = self.model.state_dict()
        for name, average in self.average.items():
            if average.is_floating_point():
                average.lerp_(state[name], weight)
            else:
                average.copy_(state[name])

    def to(self, device: torch.device) -> None:
        """Move the average to the device where the model is."""
        self.average = {name: value.to(device) for name, value in self.average.items()}

    def weights(self) -> dict[str, Tensor]:
        """The averaged weights under the model's names."""
        return self.average if self.decay else self.model.state_dict()

    @contextmanager
    def applied(self) -> Iterator[nn.Module]:
        """The model with the averaged weights in it, in evaluation mode; both are undone afterwards."""
        training = self.model.training
        kept = {name: value.detach().clone() for name, value in self.model.state_dict().items()} if self.decay else {}
        self.model.load_state_dict(self.weights())
        self.model.eval()
        try:
            yield self.model
        finally:
            if kept:
                self.model.load_state_dict(kept)
            self.model.train(training)

    def state_dict(self) -> dict[str, int | dict[str, Tensor]]:
        """What :meth:`load_state_dict` needs to go on bit by bit."""
        return {"steps": self.steps, "average": self.average}

    def load_state_dict(self, state: dict) -> None:
        """Go on from a saved state."""
        self.steps = state["steps"]
        for name, average in self.average.items():
            average.copy_(state["average"][name])
