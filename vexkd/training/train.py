"""One training stage from config to run folder."""

import json
import logging
import os
import pickle
import sys
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, Trainer, seed_everything
from lightning.pytorch.callbacks import TQDMProgressBar

from vexkd.config import Config
from vexkd.models.perception import Perception
from vexkd.plugins.errors import UserError
from vexkd.plugins.files import DiskFullError, leftovers, write_text
from vexkd.training.callbacks import Evaluate, RunLog, SaveRun, WholeCheckpoints, save_stage
from vexkd.training.distillation import distill_objective, distillation_report
from vexkd.training.initialise import initialise
from vexkd.training.machine import git_commit, machine
from vexkd.training.metrics import evaluate_model
from vexkd.training.module import Stage
from vexkd.training.objective import DistillObjective, Objective, TaskObjective
from vexkd.training.run import CHECKPOINT, CONFIG, METRICS, load_run_config, save_config, with_teacher
from vexkd.training.samples import open_dataset

logger = logging.getLogger(__name__)

_MAY_CHANGE = ("data.root", "data.workers", "data.cache", "distill.cache")
"""Settings that a resumed run may have otherwise than its first part: they do not change the result."""


@contextmanager
def _resumable() -> Iterator[None]:
    """Tell how to go on when the disk is full."""
    try:
        yield
    except DiskFullError as error:
        raise DiskFullError(error.path, error.reason, "go on with --resume") from error


@_resumable()
def train(config: Config, out: Path, resume: bool = False, progress: bool = True) -> dict[str, Any]:
    """Train one stage and evaluate it.

    Args:
        config: of the stage.
        out: run folder to write; new or empty unless ``resume``.
        resume: go on from the folder's last checkpoint, to the same bits as a run that was never stopped.
        progress: show a progress bar.

    Returns:
        What ``metrics.json`` holds: the metrics on ``data.val_split``, ``seconds`` of training in this call,
        ``machine``, ``commit``; of a distillation also ``distillation``, see :func:`distillation_report`.

    Raises:
        UserError: the folder is taken, the config does not go on from the folder's, the data or a run folder the
            config names is wrong, the loss is not finite, or the disk is full.
    """
    config = with_teacher(config, Path.resolve)
    checkpoint = _prepare_folder(config, out, resume)
    _quiet()
    seed_everything(config.train.seed, workers=True, verbose=False)
    model = Perception(config.model, config.task)
    if checkpoint is None:
        model.load_pretrained()
        if config.train.init is not None:
            initialise(model, config.train.init)
    if config.distill is None:
        objective: Objective = TaskObjective(model, config.train.sensor_dropout)
    else:
        objective = distill_objective(model, config)
    training_data = open_dataset(config, config.data.train_split, objective.teacher_config, config.data.train_scenes)
    # Opened before training so that a wrong split is told at the start.
    validation_data = taught_data = open_dataset(config, config.data.val_split)
    if config.distill is not None and config.model.camera is None:
        # Evaluating a LiDAR student decodes no images; its teacher, asked for the masks' figures later, needs them.
        taught_data = open_dataset(config, config.data.val_split, objective.teacher_config)
    stage = Stage(config, model, objective, training_data)
    if _first_process():
        save_config(out, config)

    def evaluated(trained: Stage) -> dict[str, Any]:
        with trained.ema.applied():
            return evaluate_model(model, validation_data, workers=config.data.workers)

    log = RunLog(out)
    callbacks: list[Callback] = [log]
    if config.train.evaluate_every:
        callbacks.append(Evaluate(config.train.evaluate_every, evaluated, log))
    # After the evaluation, so that a resumed run lacks none.
    callbacks.append(SaveRun(out))
    if progress:
        callbacks.append(TQDMProgressBar(refresh_rate=1 if sys.stdout.isatty() else 20))
    started = time.monotonic()
    with _torch_settings_kept():
        trainer = _trainer(config, out, callbacks, progress)
        try:
            trainer.fit(stage, ckpt_path=checkpoint, weights_only=True)
        except SystemExit:
            # Lightning turns Ctrl+C into an exit.
            logger.warning("stopped in epoch %d; go on with --resume", trainer.current_epoch)
            raise
    seconds = round(time.monotonic() - started, 1)
    # Lightning leaves the model on the CPU.
    model.to(trainer.strategy.root_device)
    result: dict[str, Any] = {}
    if trainer.is_global_zero:
        save_stage(out, stage)
        result = {
            "metrics": evaluated(stage),
            "split": config.data.val_split,
            "seconds": seconds,
            "resumed": checkpoint is not None,
            "machine": machine(),
            "commit": git_commit(),
        }
        if isinstance(objective, DistillObjective):
            result["distillation"] = distillation_report(objective, out, taught_data)
        write_text(out / METRICS, json.dumps(result, indent=2) + "\n")
    return result


def _trainer(config: Config, out: Path, callbacks: list[Callback], progress: bool) -> Trainer:
    train = config.train
    halting = config.distill is not None and config.distill.mask in ("learned", "random_query")
    unused = halting or train.sensor_dropout > 0
    count = train.devices if isinstance(train.devices, int) else max(1, torch.cuda.device_count())
    return Trainer(
        default_root_dir=out,
        max_epochs=train.epochs,
        devices=train.devices,
        # Halted mask generators get no gradient, nor does the branch of a sensor that was left out.
        strategy="auto" if count == 1 else "ddp_find_unused_parameters_true" if unused else "ddp",
        precision=train.precision,
        # "warn": grid_sample's gradient has no deterministic form on CUDA; everything on the CPU has.
        deterministic="warn",
        logger=False,
        callbacks=callbacks,
        plugins=[WholeCheckpoints()],
        enable_checkpointing=False,
        enable_model_summary=False,
        enable_progress_bar=progress,
        use_distributed_sampler=False,
        num_sanity_val_steps=0,
    )


def _prepare_folder(config: Config, out: Path, resume: bool) -> Path | None:
    """Check the run folder; the checkpoint to go on from, None for a start from nothing."""
    if _first_process():
        _clear_for(out, resume)
    if not resume or not (out / CONFIG).is_file():
        return None
    changed = _differences(load_run_config(out).model_dump(mode="json"), config.model_dump(mode="json"))
    changed = [name for name in changed if name not in _MAY_CHANGE]
    if changed:
        raise UserError(f"--resume needs the config of {out / CONFIG}, but these differ: {', '.join(changed)}")
    return _checked(out / CHECKPOINT) if (out / CHECKPOINT).is_file() else None


def _clear_for(out: Path, resume: bool) -> None:
    """Refuse a folder that is not to be written to; remove what a killed process left half-written in one that is."""
    abandoned = leftovers(out)
    taken = out.exists() and (not out.is_dir() or len(list(out.iterdir())) > len(abandoned))
    if taken and not resume:
        raise UserError(f"{out} exists and is not empty; choose another --out, or go on with it by --resume")
    if taken and not (out / CONFIG).is_file():
        raise UserError(f"--resume finds no {CONFIG} in {out}, so it is no run folder; choose another --out")
    for file in abandoned:
        file.unlink(missing_ok=True)


def _checked(checkpoint: Path) -> Path:
    try:
        torch.load(checkpoint, map_location="cpu", weights_only=True, mmap=True)
    except (pickle.UnpicklingError, RuntimeError, OSError, EOFError) as error:
        reason = " ".join(str(error).split())[:120]
        raise UserError(f"{checkpoint} is damaged ({reason}); delete the run folder and train again") from error
    return checkpoint


def _differences(one: Any, other: Any, name: str = "") -> list[str]:
    if isinstance(one, dict) and isinstance(other, dict):
        keys = sorted(one.keys() | other.keys())
        return [d for key in keys for d in _differences(one.get(key), other.get(key), f"{name}.{key}".strip("."))]
    return [] if one == other else [name]


def _first_process() -> bool:
    """Whether this is not one of the processes that lightning's launcher started beside the first."""
    return int(os.environ.get("LOCAL_RANK", "0")) == 0 and int(os.environ.get("NODE_RANK", "0")) == 0


@contextmanager
def _torch_settings_kept() -> Iterator[None]:
    """Undo afterwards what a deterministic trainer sets for the whole process."""
    before = torch.are_deterministic_algorithms_enabled()
    settings: Any = torch.utils.deterministic
    fill = settings.fill_uninitialized_memory
    # Filling every fresh tensor with NaN finds mistakes; it makes nothing here more deterministic and costs a tenth.
    settings.fill_uninitialized_memory = False
    try:
        yield
    finally:
        settings.fill_uninitialized_memory = fill
        torch.use_deterministic_algorithms(before)


def _quiet() -> None:
    """Lightning's advertisements and device listings are not ours to print, and a frozen teacher stays in eval mode."""
    warnings.filterwarnings("ignore", message=".*module\\(s\\) in eval mode at the start of training")
    for name in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.WARNING)
