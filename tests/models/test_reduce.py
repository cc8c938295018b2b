"""Losses of several processes: together they give the gradients of one process on the whole batch."""

from pathlib import Path
from typing import Literal

import pytest
import torch
from tiny_models import GRID, tiny_boxes, tiny_config
from torch import Tensor, distributed

from vexkd.models.center_head import CenterHead
from vexkd.models.center_loss import detection_loss
from vexkd.models.inputs import Targets
from vexkd.models.map_head import MapHead, segmentation_loss
from vexkd.models.reduce import normaliser

Task = Literal["detection", "segmentation"]
TASKS: tuple[Task, ...] = ("detection", "segmentation")
WORLD, CHANNELS = 2, 5
PARTS = (slice(0, 1), slice(1, 3))
"""Samples of the whole batch that each process has."""


def whole_batch() -> tuple[Tensor, Targets]:
    """Features and targets of three samples: three objects and a known map, two and a half, none and a corner."""
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(3, CHANNELS, GRID.height, GRID.width, generator=generator)
    (boxes,), (labels,) = tiny_boxes(1)
    maps = torch.randint(0, 2, (3, 6, 200, 200), dtype=torch.uint8, generator=generator)
    maps[1, :, 100:] = 255
    maps[2, :3, 10:] = 255
    return features, Targets([boxes, boxes[:2], boxes[:0]], [labels, torch.tensor([7, 8]), labels[:0]], maps)


def gradients(task: Task, part: slice) -> dict[str, Tensor]:
    """Of the loss of some samples, for all weights of the head; batch statistics are frozen."""
    features, (boxes, labels, maps) = whole_batch()
    assert boxes is not None and labels is not None and maps is not None
    config = tiny_config("lidar")
    torch.manual_seed(1)
    if task == "detection":
        center_head = CenterHead(config.head, GRID, CHANNELS).eval()
        loss = detection_loss(center_head(features[part]), boxes[part], labels[part], config)["loss"]
        return gradients_of(loss, center_head)
    map_head = MapHead(config.head, GRID, CHANNELS).eval()
    return gradients_of(segmentation_loss(map_head(features[part]), maps[part])["loss"], map_head)


def gradients_of(loss: Tensor, head: torch.nn.Module) -> dict[str, Tensor]:
    names, weights = zip(*head.named_parameters(), strict=True)
    return dict(zip(names, torch.autograd.grad(loss, weights), strict=True))


def mean(processes: list[dict[str, Tensor]]) -> dict[str, Tensor]:
    return {name: torch.stack([process[name] for process in processes]).mean(0) for name in processes[0]}


def work(rank: int, folder: Path) -> None:
    """One process: gradients of its part, and what a loss without gradients, its own business, divides by."""
    torch.set_num_threads(1)
    distributed.init_process_group("gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=WORLD)
    result: dict[str, object] = {task: gradients(task, PARTS[rank]) for task in TASKS}
    if rank == 0:
        with torch.no_grad():
            result["alone"] = normaliser(torch.tensor([4.0]))
    torch.save(result, folder / f"{rank}.pt")
    distributed.destroy_process_group()


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, dict[str, Tensor]]]:
    folder = tmp_path_factory.mktemp("processes")
    torch.multiprocessing.spawn(work, (folder,), nprocs=WORLD)
    return [torch.load(folder / f"{rank}.pt") for rank in range(WORLD)]


@pytest.mark.parametrize("task", TASKS)
def test_the_mean_of_two_processes_gradients_is_that_of_the_whole_batch(
    task: Task, results: list[dict[str, dict[str, Tensor]]]
) -> None:
    expected = gradients(task, slice(0, 3))
    found = mean([result[task] for result in results])
    for name, whole in expected.items():
        torch.testing.assert_close(found[name], whole, rtol=1e-4, atol=1e-5 * float(whole.abs().max()))
    # Each process's own counts would have given other gradients.
    own = mean([gradients(task, part) for part in PARTS])
    assert any(float((own[name] - whole).abs().max() / whole.abs().max()) > 0.05 for name, whole in expected.items())


def test_a_loss_without_gradients_waits_for_nobody(results: list[dict[str, Tensor]]) -> None:
    assert results[0]["alone"].tolist() == [4.0]


def test_one_process_divides_by_its_own_count_or_by_one() -> None:
    assert normaliser(torch.tensor([0.0, 1.0, 7.0])).tolist() == [1.0, 1.0, 7.0]
