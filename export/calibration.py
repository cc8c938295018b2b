"""The samples that ranges are measured on, and the ranges of a graph's activations on them."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import onnx
from numpy.typing import NDArray

from vexkd.config import Config
from vexkd.data.dataset import NuScenesDataset
from vexkd.engines.manifest import CameraInput, PointInput
from vexkd.engines.onnx_session import OnnxRuntime
from vexkd.engines.preprocess import model_inputs
from vexkd.export.layers import find_layers
from vexkd.export.manifest import grid_section
from vexkd.export.observers import Histogram, Method, Range, choose_range
from vexkd.export.quantise import Scheme, find_places
from vexkd.plugins.errors import UserError

SAMPLES = 32
METHOD: Method = "mse"

Arrays = Mapping[str, NDArray[Any]]


class Samples(NamedTuple):
    """Model inputs of keyframes, and where they come from."""

    inputs: tuple[Arrays, ...]
    origin: str
    """For the manifest."""

    def spread(self, count: int) -> "Samples":
        """So many of them, evenly spread."""
        return self._replace(inputs=tuple(self.inputs[i] for i in spread_indices(len(self.inputs), count)))


class Calibration(NamedTuple):
    """Ranges of the activations at which a graph may be rounded."""

    ranges: dict[str, Range]
    method: Method
    scheme: Scheme
    samples: Samples


def find_samples(config: Config, camera: CameraInput | None, points: PointInput | None, count: int) -> Samples:
    """Evenly spread keyframes of a run's training split, the same ones every time.

    Raises:
        UserError: the run's data cannot be read, or its cameras are not those of the export.
    """
    data = config.data
    dataset = NuScenesDataset(data, data.train_split, images=camera is not None, scenes=data.train_scenes)
    if not len(dataset):
        raise UserError(f"{data.root} has no keyframe in the split {data.train_split!r}")
    chosen = spread_indices(len(dataset), count)
    inputs = []
    for index in chosen:
        sample = dataset[index]
        if camera is not None:
            check_rig(sample.images, camera)
        inputs.append(model_inputs(camera, points, grid_section(config), sample))
    origin = f"{len(chosen)} of {len(dataset)} keyframes of the split {data.train_split!r}, evenly spread"
    return Samples(tuple(inputs), origin)


def check_rig(images: NDArray[np.uint8], camera: CameraInput) -> None:
    """Refuse samples of other cameras than the export's: their ranges would be those of another model input.

    Raises:
        UserError: another number of cameras or another size of their images.
    """
    expected = (len(camera.cameras), *camera.raw_size)
    if images.shape[:3] != expected:
        raise UserError(
            f"the samples to calibrate on have {_rig(images.shape)}, the export is for {_rig(expected)}; calibrate on "
            "data of the same cameras, or leave out --image-size"
        )


def spread_indices(length: int, count: int) -> list[int]:
    """At most ``count`` of ``length`` indices, evenly spread from the first to the last."""
    return [int(index) for index in np.unique(np.linspace(0, length - 1, min(length, count)).round())]


def calibrate(model: onnx.ModelProto, samples: Samples, scheme: Scheme, method: Method = METHOD) -> Calibration:
    """Ranges of every activation that may have to be rounded, whichever layers are quantised later.

    The samples are run twice, for the limits and for the histograms, so that memory holds one sample's activations.
    """
    layers = [layer.name for layer in find_layers(model)[0]]
    # The places of the CPU's scheme include those of the others.
    places = sorted(find_places(model, layers, "uint8").groups)
    runtime = OnnxRuntime(_with_outputs(model, places).SerializeToString(), "cpu", threads=0)
    limits: dict[str, Range] = dict.fromkeys(places, Range(0.0, 0.0))

    def widen(name: str, values: NDArray[np.floating]) -> None:
        limits[name] = limits[name].joined(Range(float(values.min()), float(values.max())))

    _each(runtime, samples.inputs, places, widen)
    histograms = {name: Histogram(limits[name]) for name in places}
    _each(runtime, samples.inputs, places, lambda name, values: histograms[name].add(values))
    symmetric = scheme != "uint8"
    # E4M3 has a nearly constant relative error over its range: there is nothing to gain by clipping.
    chosen: Method = "minmax" if scheme == "fp8" else method
    ranges = {name: choose_range(histogram, chosen, symmetric) for name, histogram in histograms.items()}
    return Calibration(ranges, chosen, scheme, samples)


def _each(
    runtime: OnnxRuntime,
    inputs: Sequence[Arrays],
    names: Sequence[str],
    tell: Callable[[str, NDArray[np.floating]], None],
) -> None:
    for arrays in inputs:
        found = runtime.run(arrays)
        for name in names:
            tell(name, found[name])


def _with_outputs(model: onnx.ModelProto, names: Sequence[str]) -> onnx.ModelProto:
    """A copy of a model that gives these tensors, too."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    given = {output.name for output in model.graph.output}
    copy.graph.output.extend(
        value for value in model.graph.value_info if value.name in names and value.name not in given
    )
    return copy


def _rig(shape: Sequence[int]) -> str:
    return f"{shape[0]} cameras of {shape[1]}x{shape[2]}"
