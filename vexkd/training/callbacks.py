"""What happens beside the steps of a training: checkpoints, the log, evaluations on the way."""

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, Trainer
from lightning.pytorch.plugins.io import TorchCheckpointIO
from lightning.pytorch.utilities import rank_zero_only

from vexkd.plugins.files import naming_when_full, replacing, write_text
from vexkd.training.distillation import mask_weights
from vexkd.training.events import EventFile
from vexkd.training.module import LOG_STEPS, Stage
from vexkd.training.objective import DistillObjective
from vexkd.training.run import CHECKPOINT, LOG, MASKS, save_weights


def save_stage(out: Path, stage: Stage) -> None:
    """Write the weights of a stage, and those of its masks if it has any."""
    save_weights(out, stage.ema.weights())
    if isinstance(stage.objective, DistillObjective) and (masks := mask_weights(stage.objective)):
        save_weights(out, masks, MASKS)


class WholeCheckpoints(TorchCheckpointIO):
    """Writes a trainer's checkpoints whole or not at all.

    Lightning's own way goes through the system's temporary folder, which may be small and keeps what a killed process
    leaves there.
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None) -> None:
        """Write ``checkpoint``; only the first process calls it."""
        # Not straight to the file: torch hides the reason when a write fails.
        content = io.BytesIO()
        torch.save(checkpoint, content)
        with replacing(Path(path)) as temporary:
            temporary.write_bytes(content.getbuffer())


class SaveRun(Callback):
    """Writes the resume checkpoint and the weights after each epoch.

    The checkpoint comes first and holds all that the weights are made of, so a process that dies in between leaves
    nothing that resuming does not write again.
    """

    def __init__(self, out: Path) -> None:
        self.out = out

    def on_train_epoch_end(self, trainer: Trainer, pl_module: Stage) -> None:  # type: ignore[override]
        """Write both; all processes must call it."""
        trainer.save_checkpoint(self.out / CHECKPOINT, weights_only=False)
        if trainer.is_global_zero:
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
        lines = self.path.read_text(encoding="utf-8").splitlines(keepends=True) if self.path.is_file() else []
        # A process that died while it wrote leaves a last line without its end.
        kept = [line for line in lines if line.endswith("\n") and json.loads(line)["step"] <= trainer.global_step]
        write_text(self.path, "".join(kept))
        self.events = EventFile(self.out, trainer.global_step + 1)

    @rank_zero_only
    def on_train_batch_end(self, trainer: Trainer, pl_module: Stage, *args: Any) -> None:  # type: ignore[override]
        """Log every ``LOG_STEPS`` steps, and at the end of an epoch."""
        if trainer.global_step % LOG_STEPS == 0 or trainer.is_last_batch:
            rate = max(group["lr"] for group in trainer.optimizers[0].param_groups if not group["constant"])
            self.write(trainer, {"lr": rate} | pl_module.terms)

    @rank_zero_only
    def on_train_end(self, trainer: Trainer, pl_module: Stage) -> None:  # type: ignore[override]
        """Close the TensorBoard events."""
        self.events.close()

    def write(self, trainer: Trainer, values: dict[str, Any]) -> None:
        """Append one line; its numbers also go to TensorBoard."""
        row = {"step": trainer.global_step, "epoch": trainer.current_epoch} | values
        with naming_when_full(self.path), self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")
        scalars = {name: value for name, value in values.items() if isinstance(value, float)}
        self.events.scalars(trainer.global_step, scalars)


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
