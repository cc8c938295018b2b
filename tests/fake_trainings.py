"""Trainings that write at once what a real one leaves, for tests of what is built around them."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field

from vexkd.ablate.plan import PlannedRun
from vexkd.ablate.run import RunFailed
from vexkd.ablate.suites import Scale
from vexkd.training.run import LOG, METRICS, save_config

OWN = (
    "data.train_scenes=null",
    "train.batch_size=2",
    "train.lr=0.004",
    "distill.loss=attention",
    "distill.mask=learned",
)
DEMO = Scale("demo", "demo", OWN, 2)
"""The demo's recipes, with what the tests rely on fixed."""


@dataclass
class FakeTraining:
    """Writes what a training leaves, with metrics that ``score`` gives; remembers what it made, and fails on demand."""

    score: Callable[[PlannedRun], float] = lambda run: 0.5
    ratio: Callable[[PlannedRun], float] = lambda run: 0.1
    broken: tuple[str, ...] = ()
    made: list[str] = field(default_factory=list)

    def __call__(self, run: PlannedRun) -> None:
        for needed in run.needs:
            assert (needed.folder / METRICS).is_file(), f"{run.name} began before {needed.name} was finished"
        self.made.append(run.name)
        save_config(run.folder, run.config)
        if any(part in run.name for part in self.broken):
            raise RunFailed("vexkd: the loss is not finite")
        lines = [
            {"step": step, "epoch": 0, "kd_ratio": ratio * self.ratio(run)} for step, ratio in enumerate((1, 9, 0.1))
        ]
        (run.folder / LOG).write_text("".join(json.dumps(line) + "\n" for line in lines))
        names = ("mAP", "NDS") if run.config.task == "detection" else ("mIoU",)
        machine = {"processor": "abacus", "cores": 1, "accelerator": "none"}
        result = {
            "metrics": dict.fromkeys(names, self.score(run)),
            "seconds": 2.0,
            "machine": machine,
            "commit": "c0de",
        }
        if run.config.distill is not None:
            result["distillation"] = {"kd_ratio": self.ratio(run), "mask_epochs": 3, "masks_settled": True}
        (run.folder / METRICS).write_text(json.dumps(result))
