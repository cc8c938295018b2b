"""What happens beside the steps of a training: checkpoints, the log, evaluations on the way."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lightning.pytorch import Callback, Trainer
from lightning.pytorch.utilities import rank_zero_only
from torch.utils.tensorboard import SummaryWriter

from vexkd.plugins.files import replacing, write_text
from vexkd.training.distillation import mask_weights
from vexkd.training.module import Stage
from vexkd.training.objective import DistillObjective
from vexkd.training.run import CHECKPOINT, LOG, MASKS, save_weights

LOG_STEPS = 10
"""Steps between lines of log.jsonl; the last step of an epoch has a line, too."""


def save_stage(out: Path, stage: Stage) -> None:
    """Write the weights of a stage, and those of its masks if it has any."""
    save_weights(out, stage.ema.weights())
    if isinstance(stage.objective, DistillObjective) and (masks := mask_weights(stage.objective)):
        save_weights(out, masks, MASKS)


class SaveRun(Callback):
    """Writes the resume checkpoint and the weights after each epoch, each under a temporary name first."""

    def __init__(self, out: Path) -> None:
        self.out = out

    def on_train_epoch_end(self, trainer: Trainer, pl_module: Stage) -> None:  # type: ignore[override]
        """Write both; all processes must call it."""
        if not trainer.is_global_zero:
            # Saving is a collective call; only the first process writes.
            trainer.save_checkpoint(self.out / CHECKPOINT, weights_only=False)
            return
        with replacing(self.out / CHECKPOINT) as temporary:
            trainer.save_checkpoint(temporary, weights_only=False)
        save_stage(self.out, pl_module)


class RunLog(Callback):
    """Loss terms and learning rate to log.jsonl, one JSON object a line, and to TensorBoard.

    No clock time is among them, so that equal runs have equal logs; a resumed run drops the lines of the steps that it
    repeats.
    """

    def __init__(self, out: Path) -> None:
        self.out = out
        self.path = out / LOG

    @rank_zero_only
    def on_train_start(self, trainer: Trainer, pl_module: Stage) -> None:  # type: ignore[override]
        """Open both logs; drop lines of steps after the checkpoint."""
        lines = self.path.read_text(encoding="utf-8").splitlines() if self.path.is_file() else []
        kept = [line for line in lines if json.loads(line)["step"] <= trainer.global_step]
        write_text(self.path, "".join(line + "\n" for line in kept))
        self.events = SummaryWriter(str(self.out), purge_step=trainer.global_step + 1)

    @rank_zero_only
    def on_train_batch_end(self, trainer: Trainer, pl_module: Stage, *args: Any) -> None:  # type: ignore[override]
        """Log every ``LOG_STEPS`` steps, and at the end of an epoch."""
        if trainer.global_step % LOG_STEPS == 0 or trainer.is_last_batch:
            rate = max(group["lr"] for group in trainer.optimizers[0].param_groups)
            self.write(trainer, {"lr": rate} | pl_module.terms)

    @rank_zero_only
    def on_train_end(self, trainer: Trainer, pl_module: Stage) -> None:  # type: ignore[override]
        """Close the TensorBoard events."""
        self.events.close()

    def write(self, trainer: Trainer, values: dict[str, Any]) -> None:
        """Append one line; its numbers also go to TensorBoard."""
        with self.path.open("a", encoding="utf-8") as file:
            row = {"step": trainer.global_step, "epoch": trainer.current_epoch} | values
            file.write(json.dumps(row) + "\n")
        for name, value in values.items():
            if isinstance(value, float):
                self.events.add_scalar(name, value, trainer.global_step)


class Evaluate(Callback):
    """Evaluates the averaged weights every few epochs and writes the metrics into the log."""

    def __init__(self, every: int, evaluate: Callable[[Stage], dict[str, Any]], run_log: RunLog) -> None:
        self.every, self.evaluate, self.run_log = every, evaluate, run_log

    def on_train_epoch_end(self, trainer: Trainer, pl_module: Stage) -> None:  # type: ignore[override]
        """Evaluate after every so many epochs but the last, which the end of the training evaluates."""
        last = trainer.current_epoch + 1 == trainer.max_epochs
        if (trainer.current_epoch + 1) % self.every == 0 and not last and trainer.is_global_zero:
            metrics = self.evaluate(pl_module)
            headline = {name: value for name, value in metrics.items() if isinstance(value, float)}
            self.run_log.write(trainer, headline | {"evaluation": metrics})
        trainer.strategy.barrier("evaluation")
