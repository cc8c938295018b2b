"""When masks have settled."""

import torch

from vexkd.distill.settling import PATIENCE, STILL, Settling


def after_moves(moves: list[float]) -> list[bool]:
    """Whether masks have settled after each of these mean changes of the low level, while the high one stands still."""
    settling, found = Settling(), []
    high = torch.full((2, 1, 3, 4), 0.5)
    for move in moves:
        low = torch.rand(2, 1, 3, 4)
        signs = torch.tensor([1.0, -1.0]).repeat(12).view(2, 1, 3, 4)
        settling.end_epoch({"low": low, "high": high}, {"low": low + move * signs, "high": high})
        found.append(settling.settled)
    assert settling.epochs == len(moves)
    return found


def test_two_still_epochs_in_a_row_settle() -> None:
    assert (PATIENCE, STILL) == (2, 0.02)
    assert after_moves([0.3, 0.1, 0.03, 0.03]) == [False] * 4
    assert after_moves([0.3, 0.005, 0.005]) == [False, False, True]
    assert after_moves([0.005, 0.1, 0.005, 0.005]) == [False, False, False, True]


def test_the_count_goes_through_a_checkpoint() -> None:
    one, other = Settling(), Settling()
    masks = {"high": torch.ones(1, 1, 2, 2)}
    one.end_epoch(masks, masks)  # type: ignore[arg-type]
    other.load_state_dict(one.state_dict())
    other.end_epoch(masks, masks)  # type: ignore[arg-type]
    assert other.settled and other.epochs == 2
