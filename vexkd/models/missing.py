"""A sensor that is not there: how a fusion teacher fares without it, in training and in evaluation."""

from typing import Literal

from vexkd.models.inputs import Inputs

Sensor = Literal["camera", "lidar"]


def leave_out(inputs: Inputs, sensor: Sensor) -> Inputs:
    """The inputs as they come where a sensor is missing."""
    if sensor == "camera":
        return inputs._replace(images=None, rays=None, origins=None, image_transforms=None)
    return inputs._replace(points=None, counts=None)
