"""Starting a model from the weights of another run, for instance a teacher from its LiDAR student."""

import logging
from pathlib import Path

from vexkd.models.perception import Perception
from vexkd.plugins.errors import UserError
from vexkd.training.run import read_weights

logger = logging.getLogger(__name__)


def initialise(model: Perception, path: Path) -> list[str]:
    """Copy whole modules (``camera``, ``lidar``, ``fusion``, ``encoder``, ``head``) from a run folder, in place.

    A module is copied when all its weights have the same names and shapes there; one that the run has, too, but of
    another size, stays as it was drawn, with a warning.

    Returns:
        The names of the modules copied.

    Raises:
        UserError: the run folder cannot be read, or no module fits.
    """
    weights = read_weights(path)
    copied: list[str] = []
    different: list[str] = []
    for name, module in model.named_children():
        prefix = f"{name}."
        found = {key.removeprefix(prefix): value for key, value in weights.items() if key.startswith(prefix)}
        expected = module.state_dict()
        if found.keys() == expected.keys() and all(found[key].shape == expected[key].shape for key in found):
            module.load_state_dict(found)
            copied.append(name)
        elif found:
            different.append(name)
    if different:
        logger.warning(
            "train.init=%s: %s stay random, because their sizes differ from the run's; copied: %s",
            path, ", ".join(different), ", ".join(copied) or "nothing",
        )  # fmt: skip
    if not copied:
        raise UserError(f"train.init: no module of {path} has the names and shapes of this model; is it the right run?")
    logger.info("initialised from %s: %s", path, ", ".join(copied))
    return copied
