"""Run folders: what a training run leaves behind, written whole or not at all, and read with every check.

``config.yaml`` resolved config, ``model.safetensors`` the weights everything else loads (the moving average, where
there is one), ``masks.safetensors`` what a distillation trained beside them, ``last.ckpt`` to resume from,
``metrics.json``, ``log.jsonl``, TensorBoard events.
"""

import os
from collections.abc import Callable, Mapping
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor

from vexkd.config import Config, dump_config, load_config
from vexkd.models.perception import Perception
from vexkd.plugins.errors import UserError
from vexkd.plugins.files import replacing, write_text

CONFIG = "config.yaml"
WEIGHTS = "model.safetensors"
MASKS = "masks.safetensors"
CHECKPOINT = "last.ckpt"
METRICS = "metrics.json"
LOG = "log.jsonl"


def save_config(out: Path, config: Config) -> None:
    """Write the resolved config into the run folder ``out``; a teacher's path is written relative to that folder.

    So a run opens from every working folder, and also after it was moved together with its teacher.
    """
    write_text(out / CONFIG, dump_config(with_teacher(config, lambda path: Path(os.path.relpath(path, out.resolve())))))


def with_teacher(config: Config, change: Callable[[Path], Path]) -> Config:
    """A config whose teacher's path, if it names one, is changed."""
    if config.distill is None or config.distill.teacher is None:
        return config
    distill = config.distill.model_copy(update={"teacher": change(config.distill.teacher)})
    return config.model_copy(update={"distill": distill})


def save_weights(out: Path, weights: Mapping[str, Tensor], name: str = WEIGHTS) -> None:
    """Write weights into the run folder ``out``."""
    with replacing(out / name) as temporary:
        temporary.write_bytes(save({key: value.detach().cpu().contiguous() for key, value in weights.items()}))


def save_run(out: Path, config: Config, weights: Mapping[str, Tensor]) -> None:
    """Write what :func:`load_run` reads."""
    save_config(out, config)
    save_weights(out, weights)


def load_run(path: Path) -> tuple[Config, Perception]:
    """The config and the model of a run folder, in evaluation mode on the CPU.

    Raises:
        UserError: no run folder, a file of it is missing or damaged, or the weights are not those of the config.
    """
    config = load_run_config(path)
    weights = read_weights(path)
    model = Perception(config.model, config.task)
    check_names(path / WEIGHTS, weights, model.state_dict())
    model.load_state_dict(weights)
    return config, model.eval()


def load_run_config(path: Path) -> Config:
    """The config of a run folder; a teacher's path is absolute.

    Raises:
        UserError: no run folder, or its config is missing or wrong.
    """
    if not path.is_dir():
        raise UserError(f"{path} is no run folder; give a folder that `vexkd train --out` wrote")
    if not (path / CONFIG).is_file():
        raise UserError(f"{path} holds no {CONFIG}, so it is no run folder; give one that `vexkd train --out` wrote")
    return with_teacher(load_config(path / CONFIG), lambda teacher: (path / teacher).resolve())


def read_weights(path: Path, name: str = WEIGHTS) -> dict[str, Tensor]:
    """The weights in a file of a run folder under their names.

    Raises:
        UserError: the file is missing or damaged.
    """
    file = path / name
    if not file.is_file():
        raise UserError(f"{path} holds no {name}: its training has not got that far; go on with --resume")
    try:
        return load_file(file)
    except (SafetensorError, OSError) as error:
        raise UserError(f"{file} is damaged ({error}); train again or restore the file") from error


def check_names(file: Path, found: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> None:
    """Refuse weights whose names or shapes are not the expected ones.

    Raises:
        UserError: names of what is missing, unexpected or of another shape.
    """
    shapes = [
        f"{name} is {list(found[name].shape)}, expected {list(expected[name].shape)}"
        for name in sorted(found.keys() & expected.keys())
        if found[name].shape != expected[name].shape
    ]
    faults = [
        ("missing", sorted(expected.keys() - found.keys())),
        ("unexpected", sorted(found.keys() - expected.keys())),
        ("of another shape", shapes),
    ]
    told = [f"{len(names)} {what}: {_some(names)}" for what, names in faults if names]
    if told:
        raise UserError(f"{file} does not fit its {CONFIG}: {'; '.join(told)}; was one of the two files changed?")


def _some(names: list[str], shown: int = 3) -> str:
    return ", ".join(names[:shown]) + (f", and {len(names) - shown} more" if len(names) > shown else "")
