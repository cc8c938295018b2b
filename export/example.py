"""The frame a model is traced and compared on: a keyframe where the run's data are at hand, else a made-up one."""

import logging
from dataclasses import dataclass
from typing import Any

import torch
from numpy.typing import NDArray

from vexkd.config import Config
from vexkd.engines.manifest import CameraInput, PointInput
from vexkd.engines.preprocess import Frame, model_inputs
from vexkd.engines.probe import probe_frame
from vexkd.export.manifest import camera_section, grid_section, points_section
from vexkd.plugins.errors import UserError
from vexkd.training.samples import open_dataset

logger = logging.getLogger(__name__)

REAL, MADE_UP = "real sample", "seeded random"


@dataclass(frozen=True)
class Example:
    """Inputs of one frame, and the manifest sections that describe them."""

    arrays: dict[str, NDArray[Any]]
    camera: CameraInput | None
    points: PointInput | None
    origin: str
    """``REAL`` or ``MADE_UP``."""

    def tensors(self, names: tuple[str, ...]) -> tuple[torch.Tensor, ...]:
        """The inputs as torch tensors in the order of ``names``."""
        return tuple(torch.from_numpy(self.arrays[name]) for name in names)


def find_example(config: Config, image_size: tuple[int, int] | None = None) -> Example:
    """A frame for a model.

    Args:
        config: of the run.
        image_size: (height, width) of the raw images to export for, by default that of the run's data.

    Raises:
        UserError: the model has a camera, and neither ``image_size`` nor the run's data say how large its images are.
    """
    frame = _keyframe(config)
    has_camera = config.model.camera is not None
    if frame is not None and has_camera and image_size not in (None, frame.images.shape[1:3]):
        logger.info("images are to be %s, those of the data are %s", image_size, frame.images.shape[1:3])
        frame = None
    if frame is None and has_camera and image_size is None:
        raise UserError(
            f"how large are the camera's images? {config.data.root} has no keyframe to look at; "
            "give --image-size 900x1600"
        )
    raw_size = image_size if frame is None else (frame.images.shape[1], frame.images.shape[2])
    camera, points = camera_section(config, raw_size), points_section(config)
    given = probe_frame(grid_section(config), camera, points, config.train.seed) if frame is None else frame
    return Example(model_inputs(camera, points, given), camera, points, MADE_UP if frame is None else REAL)


def _keyframe(config: Config) -> Frame | None:
    try:
        dataset = open_dataset(config, config.data.val_split)
        return dataset[0] if len(dataset) else None
    except UserError as error:
        logger.info("no keyframe of the run's data: %s", error)
        return None
