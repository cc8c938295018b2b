"""LiDAR branch: padding leaves no trace, and x and y stay apart."""

import pytest
import torch
from tiny_models import GRID, tiny_config, tiny_inputs

from vexkd.config import LidarConfig
from vexkd.models.inputs import Inputs
from vexkd.models.lidar_branch import LidarBranch


def branch() -> LidarBranch:
    config = tiny_config("lidar")
    assert config.lidar is not None
    torch.manual_seed(0)
    return LidarBranch(config.lidar, config.grid)


@pytest.mark.parametrize("training", [True, False])
def test_padding_and_dropped_points_leave_no_trace(training: bool) -> None:
    inputs = tiny_inputs(tiny_config("lidar"), points=200)
    assert inputs.points is not None and inputs.counts is not None
    junk = torch.full((2, 77, 5), 3.0)
    junk[:, ::2] = 1e6
    padded = inputs._replace(points=torch.cat([inputs.points, junk], dim=1))
    models = [branch().train(training) for _ in range(2)]
    outputs = [model(given) for model, given in zip(models, (inputs, padded), strict=True)]
    # Not the same bits: a BLAS may sum in another order for another number of rows.
    torch.testing.assert_close(*outputs, atol=1e-6, rtol=1e-5)
    norms = [model.points.norm for model in models]
    torch.testing.assert_close(norms[0].running_mean, norms[1].running_mean, atol=1e-6, rtol=1e-5)
    torch.testing.assert_close(norms[0].running_var, norms[1].running_var, atol=1e-6, rtol=1e-5)


def test_batch_statistics_are_those_of_the_valid_points() -> None:
    inputs = tiny_inputs(tiny_config("lidar"), points=200)
    model = branch().train()
    assert inputs.points is not None
    features, cells = torch.ops.vexkd.voxelize(inputs.points.flatten(0, 1), inputs.counts, model.range, model.cell)
    hidden = model.points.linear(features[cells >= 0] * model.points.scale)
    model(inputs)
    torch.testing.assert_close(model.points.norm.running_mean, 0.1 * hidden.mean(0))


@pytest.mark.parametrize("count", [0, 1])
def test_almost_no_points(count: int) -> None:
    model = branch().train()
    inputs = Inputs(points=torch.ones(1, 30, 5), counts=torch.tensor([count], dtype=torch.int32))
    bev = model(inputs)
    bev.sum().backward()
    assert bev.isfinite().all() and model.points.norm.running_var.isfinite().all()


def test_a_point_lands_in_its_own_cell() -> None:
    model = branch().eval()
    point = torch.tensor([[[9.0, -2.5, 0.5, 0.7, 0.1]]])
    inputs = Inputs(points=point, counts=torch.tensor([1], dtype=torch.int32))
    empty = inputs._replace(counts=torch.tensor([0], dtype=torch.int32))
    change = (model(inputs) - model(empty)).abs().amax((0, 1))
    assert change.shape == (GRID.height, GRID.width)
    # Two 3x3 convolutions, one of stride 2, reach at most two cells from the point's own cell; a fast convolution
    # (Winograd) leaves rounding errors beyond.
    rows, columns = (change > 1e-5 * change.max()).nonzero(as_tuple=True)
    assert len(rows) > 0
    assert (rows - int((-2.5 - GRID.y[0]) // GRID.cell)).abs().max() <= 2
    assert (columns - int((9.0 - GRID.x[0]) // GRID.cell)).abs().max() <= 2


@pytest.mark.parametrize(("z", "counts"), [(-3.1, False), (-2.9, True), (4.9, True), (5.1, False)])
def test_heights_are_those_above_the_road(z: float, counts: bool) -> None:
    model = branch().eval()
    inputs = Inputs(points=torch.tensor([[[9.0, -2.5, z, 0.7, 0.1]]]), counts=torch.tensor([1], dtype=torch.int32))
    empty = inputs._replace(counts=torch.tensor([0], dtype=torch.int32))
    assert torch.equal(model(inputs), model(empty)) != counts


@pytest.mark.parametrize("ratio", [1, 2, 4])
def test_stages_halve_from_pillars_to_cells(ratio: int) -> None:
    model = LidarBranch(LidarConfig(pillar=GRID.cell / ratio, point_channels=4, layers=2, channels=12), GRID).eval()
    assert model(tiny_inputs(tiny_config("lidar"))).shape == (2, 12, GRID.height, GRID.width)
    widths = [block[0].out_channels for block in model.stages]
    assert widths == {1: [12, 12], 2: [4, 4, 12, 12], 4: [4, 4, 8, 8, 12, 12]}[ratio]


def test_missing_input_is_named() -> None:
    with pytest.raises(ValueError, match="points and counts"):
        branch()(Inputs())
