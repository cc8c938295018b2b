"""TensorBoard, as its own reader sees it."""

from pathlib import Path

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from vexkd.training.events import EventFile


def test_a_resumed_run_replaces_the_steps_it_repeats(tmp_path: Path) -> None:
    for first, steps in ((1, range(1, 6)), (4, range(4, 7))):
        events = EventFile(tmp_path, first)
        for step in steps:
            events.scalars(step, {"loss": first + step / 2, "lr": 0.5})
        events.close()
    read = EventAccumulator(str(tmp_path)).Reload()
    assert read.Tags()["scalars"] == ["loss", "lr"]
    points = [(point.step, point.value) for point in read.Scalars("loss")]
    assert points == [(1, 1.5), (2, 2.0), (3, 2.5), (4, 6.0), (5, 6.5), (6, 7.0)]
