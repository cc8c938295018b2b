"""What the sampler draws: shares, determinism, class balance."""

import numpy as np
import pytest

from vexkd.training.sampling import TrainingSampler, class_balanced


def indices(sampler: TrainingSampler, epoch: int) -> list[int]:
    sampler.set_epoch(epoch)
    return [draw.index for draw in sampler]


def test_each_keyframe_comes_once_an_epoch_in_an_order_of_its_own():
    sampler = TrainingSampler(20, seed=3)
    first, second = indices(sampler, 0), indices(sampler, 1)
    assert sorted(first) == sorted(second) == list(range(20))
    assert first != second
    assert indices(TrainingSampler(20, seed=3), 0) == first
    assert indices(TrainingSampler(20, seed=4), 0) != first


def test_repeat_multiplies_an_epoch():
    assert sorted(indices(TrainingSampler(3, seed=0, repeat=4), 0)) == sorted(list(range(3)) * 4)


@pytest.mark.parametrize("count", [1, 7, 20])
def test_processes_share_an_epoch_equally_and_disjointly(count):
    samplers = [TrainingSampler(count, seed=1, rank=rank, world=3) for rank in range(3)]
    draws = [list(sampler) for sampler in samplers]
    assert {len(part) for part in draws} == {len(samplers[0])} == {max(1, count // 3)}
    positions = [draw.position for part in draws for draw in part]
    assert len(set(positions)) == len(positions)


def test_class_balance_gives_each_class_the_same_number_of_draws():
    classes = [{0}] * 90 + [{8}] * 9 + [{0, 3}]
    drawn = class_balanced(classes, np.random.default_rng(0))
    share = (91 + 9 + 1) // 3
    assert len(drawn) == 3 * share
    rare = sum(index == 99 for index in drawn)
    assert share <= rare <= share + 3
    assert sum(90 <= index < 99 for index in drawn) == share


def test_class_balance_without_any_annotation_takes_every_keyframe():
    assert class_balanced([set(), set()], np.random.default_rng(0)).tolist() == [0, 1]
