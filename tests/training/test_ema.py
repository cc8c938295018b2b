"""The moving average against its definition."""

import torch
from torch import nn

from vexkd.training.ema import Ema


def model() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2))


def test_the_average_follows_its_recurrence_for_weights_and_statistics():
    net = model()
    ema = Ema(net, 0.9)
    expected = {name: value.double().clone() for name, value in net.state_dict().items()}
    for step in range(1, 30):
        with torch.no_grad():
            net[0].weight += 0.1
            net[1].running_mean -= 0.2
            net[1].num_batches_tracked += 1
        ema.update()
        decay = min(0.9, (1 + step) / (10 + step))
        for name, value in net.state_dict().items():
            expected[name] = decay * expected[name] + (1 - decay) * value
    for name in ("0.weight", "1.running_mean"):
        torch.testing.assert_close(ema.weights()[name].double(), expected[name], rtol=1e-5, atol=1e-6)
    assert ema.weights()["1.num_batches_tracked"] == 29


def test_applied_lends_the_average_and_gives_the_weights_back():
    net = model().train()
    ema = Ema(net, 0.5)
    start = net[0].weight.detach().clone()
    with torch.no_grad():
        net[0].weight.fill_(7)
    with ema.applied() as lent:
        assert torch.equal(lent[0].weight, start)
        assert not lent.training
    assert torch.equal(net[0].weight, torch.full_like(start, 7))
    assert net.training


def test_without_decay_the_weights_are_the_models_own():
    net = model()
    ema = Ema(net, 0.0)
    with torch.no_grad():
        net[0].weight.fill_(7)
    assert torch.equal(ema.weights()["0.weight"], net[0].weight)
    with ema.applied():
        assert not net.training
    assert torch.equal(net[0].weight, torch.full((2, 3), 7.0))


def test_a_saved_average_goes_on_bit_by_bit():
    nets = [model(), model()]
    emas = [Ema(net, 0.99) for net in nets]
    for step in range(6):
        for net in nets:
            with torch.no_grad():
                net[0].weight += 0.3
        emas[0].update()
        if step == 2:
            emas[1].load_state_dict(emas[0].state_dict())
        elif step > 2:
            emas[1].update()
    assert torch.equal(emas[0].weights()["0.weight"], emas[1].weights()["0.weight"])
