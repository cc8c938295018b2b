"""The lightning module of every stage: optimiser, schedule, gradient clipping, moving average, checks."""

from collections.abc import Callable
from typing import Any

import torch
from lightning.pytorch import LightningModule
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn
from torch.utils.data import DataLoader

from vexkd.config import Config
from vexkd.data.collate import Batch
from vexkd.data.dataset import NuScenesDataset
from vexkd.models.perception import Perception
from vexkd.plugins.errors import UserError
from vexkd.training.ema import Ema
from vexkd.training.objective import Objective
from vexkd.training.samples import training_loader
from vexkd.training.schedule import rate_factor

LOG_STEPS = 10
"""Steps between lines of log.jsonl; the last step of an epoch has a line, too."""
MEASURE_STEPS = 50
"""Steps between measurements of what costs backward passes of its own; each falls on a line of the log."""


class Stage(LightningModule):
    """Trains ``model``; ``objective`` maps a batch to loss terms and may hold further trained modules.

    The model, and whatever else the objective trains (mask generators and adapters of a distillation), take their steps
    in one AdamW: their parameters are disjoint, and each set is clipped by its own gradient norm.
    """

    def __init__(self, config: Config, model: Perception, objective: Objective, dataset: NuScenesDataset) -> None:
        super().__init__()
        self.config, self.dataset = config, dataset
        self.model, self.objective = model, objective
        self.terms: dict[str, float] = {}
        self.ema = Ema(model, config.train.ema)

    def train_dataloader(self) -> DataLoader[Batch]:
        """Batches of this process."""
        return training_loader(
            self.dataset, self.config, self.objective.batched_teacher, self.global_rank, self.trainer.world_size
        )

    def transfer_batch_to_device(self, batch: Batch, device: torch.device, dataloader_idx: int) -> Batch:
        """Move a batch; lightning does not know its type."""
        return batch.to(device)

    def on_train_epoch_start(self) -> None:
        """Seed torch's generator by the epoch alone, so that a resumed run draws the same."""
        torch.manual_seed(self.config.train.seed * 1_000_003 + self.current_epoch)

    def training_step(self, batch: Batch, index: int) -> Tensor:
        """Loss of one batch.

        Raises:
            UserError: the loss is not finite.
        """
        terms = self.objective(batch, self.current_epoch)
        self.terms = {name: float(value.detach()) for name, value in terms.items()}
        if (self.global_step + 1) % MEASURE_STEPS == LOG_STEPS:
            self.terms |= self.objective.measure(terms)
        if not torch.isfinite(terms["loss"]):
            told = ", ".join(f"{name} {value:g}" for name, value in self.terms.items())
            raise UserError(
                f"the loss is not finite at step {self.global_step} of epoch {self.current_epoch} ({told}), "
                f"samples {', '.join(batch.tokens)}; lower train.lr, or train with train.precision=32"
            )
        self.log("loss", self.terms["loss"], prog_bar=True)
        return terms["loss"]

    def parameter_sets(self) -> tuple[list[nn.Parameter], list[nn.Parameter], list[nn.Parameter]]:
        """Trained parameters: the model's, those of the mask generators, and the rest (adapters)."""
        masks = {id(parameter) for parameter in self.objective.masks.parameters()}
        model = {id(parameter) for parameter in self.model.parameters()}
        trained = [parameter for parameter in self.parameters() if parameter.requires_grad]
        return (
            [p for p in trained if id(p) in model],
            [p for p in trained if id(p) in masks],
            [p for p in trained if id(p) not in model | masks],
        )

    def parameter_groups(self) -> list[dict[str, Any]]:
        """Groups for AdamW: the backbone and the masks have their own rates, norms and biases are not decayed."""
        train = self.config.train
        camera = self.model.camera
        backbone = {id(parameter) for parameter in camera.backbone.parameters()} if camera is not None else set()
        model, masks, adapters = self.parameter_sets()
        rates = [(p, train.lr * (train.backbone_lr_scale if id(p) in backbone else 1.0), False) for p in model]
        rates += [(p, train.lr, False) for p in adapters]
        if self.config.distill is not None:
            rates += [(p, self.config.distill.mask_lr, True) for p in masks]
        groups: dict[tuple[float, float, bool], list[nn.Parameter]] = {}
        for parameter, rate, constant in rates:
            decay = train.weight_decay if parameter.ndim > 1 else 0.0
            groups.setdefault((rate, decay, constant), []).append(parameter)
        return [
            {"params": members, "lr": rate, "weight_decay": decay, "constant": constant}
            for (rate, decay, constant), members in groups.items()
        ]

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """AdamW; the schedule is a factor on every group's rate, step by step. Mask generators keep theirs."""
        optimizer = torch.optim.AdamW(self.parameter_groups())
        schedule, total = self.config.train.schedule, int(self.trainer.estimated_stepping_batches)

        def follow(step: int) -> float:
            return rate_factor(schedule, step, total)

        def keep(step: int) -> float:
            return 1.0

        groups = optimizer.param_groups
        factors: list[Callable[[int], float]] = [keep if group["constant"] else follow for group in groups]
        factor = torch.optim.lr_scheduler.LambdaLR(optimizer, factors)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": factor, "interval": "step"}}

    def configure_gradient_clipping(self, optimizer: torch.optim.Optimizer, *args: Any, **kwargs: Any) -> None:
        """Clip each set of parameters by its own norm; under AMP the gradients are unscaled by now."""
        for parameters in self.parameter_sets():
            nn.utils.clip_grad_norm_(parameters, self.config.train.gradient_clip)

    def on_train_batch_end(self, outputs: Any, batch: Batch, batch_idx: int) -> None:
        """Take the step into the average; tell the objective of an epoch's end before its checkpoint is written."""
        if self.ema.decay:
            self.ema.update()
        if self.trainer.is_last_batch:
            self.objective.end_epoch(self.current_epoch)

    def on_fit_start(self) -> None:
        """Bring the average to the model's device; let the objective prepare itself there."""
        self.ema.to(self.device)
        self.objective.prepare(self.dataset, self.device)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add the average; leave out the frozen teacher, which has a run folder of its own."""
        frozen = self.objective.frozen_names()
        checkpoint["state_dict"] = {k: v for k, v in checkpoint["state_dict"].items() if k not in frozen}
        checkpoint["ema"] = self.ema.state_dict()

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Undo what :meth:`on_save_checkpoint` did."""
        own = self.state_dict()
        checkpoint["state_dict"] |= {name: own[name] for name in self.objective.frozen_names()}
        self.ema.load_state_dict(checkpoint["ema"])
