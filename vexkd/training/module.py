"""The lightning module of every stage: optimiser, schedule, gradient clipping, moving average, checks."""

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


class Stage(LightningModule):
    """Trains ``model``; ``objective`` maps a batch to loss terms and may hold further trained modules.

    The model, and whatever else the objective trains (the mask generators of a distillation), take their steps in one
    AdamW: their parameters are disjoint, and each set is clipped by its own gradient norm.
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
            self.dataset, self.config, self.objective.teacher_config, self.global_rank, self.trainer.world_size
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
        if not torch.isfinite(terms["loss"]):
            told = ", ".join(f"{name} {value:g}" for name, value in self.terms.items())
            raise UserError(
                f"the loss is not finite at step {self.global_step} of epoch {self.current_epoch} ({told}), "
                f"samples {', '.join(batch.tokens)}; lower train.lr, or train with train.precision=32"
            )
        self.log("loss", self.terms["loss"], prog_bar=True)
        return terms["loss"]

    def parameter_sets(self) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
        """Trained parameters: those of the student's objective, and those of the mask generators."""
        masks = {id(parameter) for parameter in self.objective.masks.parameters()}
        trained = [parameter for parameter in self.parameters() if parameter.requires_grad]
        return [p for p in trained if id(p) not in masks], [p for p in trained if id(p) in masks]

    def parameter_groups(self) -> list[dict[str, Any]]:
        """Groups for AdamW: the backbone and the masks have their own rates, norms and biases are not decayed."""
        train = self.config.train
        camera = self.model.camera
        backbone = {id(parameter) for parameter in camera.backbone.parameters()} if camera is not None else set()
        student, masks = self.parameter_sets()
        rates = [(p, train.lr * (train.backbone_lr_scale if id(p) in backbone else 1.0)) for p in student]
        if self.config.distill is not None:
            rates += [(p, self.config.distill.mask_lr) for p in masks]
        groups: dict[tuple[float, float], list[nn.Parameter]] = {}
        for parameter, rate in rates:
            decay = train.weight_decay if parameter.ndim > 1 else 0.0
            groups.setdefault((rate, decay), []).append(parameter)
        return [{"params": members, "lr": rate, "weight_decay": decay} for (rate, decay), members in groups.items()]

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """AdamW; the schedule is a factor on every group's rate, step by step."""
        optimizer = torch.optim.AdamW(self.parameter_groups())
        schedule, total = self.config.train.schedule, int(self.trainer.estimated_stepping_batches)
        factor = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: rate_factor(schedule, step, total))
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": factor, "interval": "step"}}

    def configure_gradient_clipping(self, optimizer: torch.optim.Optimizer, *args: Any, **kwargs: Any) -> None:
        """Clip each set of parameters by its own norm; under AMP the gradients are unscaled by now."""
        for parameters in self.parameter_sets():
            nn.utils.clip_grad_norm_(parameters, self.config.train.gradient_clip)

    def on_train_batch_end(self, outputs: Any, batch: Batch, batch_idx: int) -> None:
        """Take the step into the average."""
        if self.ema.decay:
            self.ema.update()

    def on_fit_start(self) -> None:
        """Bring the average to the model's device."""
        self.ema.to(self.device)

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
