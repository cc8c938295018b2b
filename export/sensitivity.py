"""What quantisation costs: the error of a graph's dense outputs, layer by layer and altogether."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import onnx
from numpy.typing import NDArray

from vexkd.engines.onnx_session import OnnxRuntime
from vexkd.export.calibration import Arrays, Calibration, Samples
from vexkd.export.layers import find_layers
from vexkd.export.quantise import quantise

RANKING_SAMPLES = 4
"""Every layer is one session and so many runs: a ranking needs no more."""

Accept = Callable[[onnx.ModelProto], bool]
Progress = Callable[[str], None]


class LayerLoss(NamedTuple):
    """A layer, and the output error of the graph in which it alone is quantised."""

    name: str
    error: float


class Reference:
    """The float graph's dense outputs on samples, which quantised graphs are compared with."""

    def __init__(self, model: onnx.ModelProto, samples: Samples) -> None:
        self.samples = samples
        runtime = OnnxRuntime(model.SerializeToString(), "cpu", threads=0)
        self.outputs = [runtime.run(inputs) for inputs in samples.inputs]

    def error(self, model: onnx.ModelProto) -> float:
        """Output error of a graph, see :func:`output_error`; mean over the samples."""
        runtime = OnnxRuntime(model.SerializeToString(), "cpu", threads=0)
        pairs = zip(self.outputs, self.samples.inputs, strict=True)
        return float(np.mean([output_error(outputs, runtime.run(inputs)) for outputs, inputs in pairs]))


def output_error(reference: Arrays, found: Arrays) -> float:
    """Relative L2 error of the dense outputs: norm of the difference over the reference's norm; the larger of two.

    Segmentation: of the logits. Detection: of the probabilities, and of the box codes, where a cell counts as much as
    its highest probability: codes of empty cells are noise that nobody reads.
    """
    if "logits" in reference:
        return _relative(reference["logits"], found["logits"])
    weight = reference["probability"].max(axis=1)[:, None, None]
    return max(
        _relative(reference["probability"], found["probability"]),
        _relative(reference["codes"] * weight, found["codes"] * weight),
    )


def rank_layers(
    model: onnx.ModelProto, calibration: Calibration, progress: Progress = lambda step: None
) -> list[LayerLoss]:
    """Each layer's loss when it alone is quantised, worst first.

    Costs one session and ``RANKING_SAMPLES`` runs per layer.
    """
    reference = Reference(model, calibration.samples.spread(RANKING_SAMPLES))
    names = [layer.name for layer in find_layers(model)[0]]
    losses = []
    for number, name in enumerate(names):
        progress(f"sensitivity of layer {number + 1} of {len(names)}")
        alone = quantise(model, calibration.ranges, {name}, calibration.scheme)
        losses.append(LayerLoss(name, reference.error(alone)))
    return sorted(losses, key=lambda loss: (-loss.error, loss.name))


def choose_kept(
    model: onnx.ModelProto, calibration: Calibration, ranking: Sequence[LayerLoss], accept: Accept
) -> set[str]:
    """The fewest of the worst layers that must stay in float for a quantised graph to be accepted.

    The number is found by bisection, which takes it that keeping more layers never makes an accepted graph worse.

    Args:
        model: traced float graph.
        calibration: of this graph.
        ranking: see :func:`rank_layers`.
        accept: judges a quantised graph: by its output error, or by its metrics on a split.

    Returns:
        Names; all of them where nothing less is accepted.
    """
    names = [loss.name for loss in ranking]
    low, high = 0, len(names)
    while low < high:
        middle = (low + high) // 2
        quantised = set(names[middle:])
        if accept(quantise(model, calibration.ranges, quantised, calibration.scheme)):
            high = middle
        else:
            low = middle + 1
    return set(names[:low])


def within(reference: Reference, limit: float) -> Accept:
    """Accepts graphs whose output error is at most ``limit``."""
    return lambda model: reference.error(model) <= limit


def _relative(reference: NDArray[Any], found: NDArray[Any]) -> float:
    difference = np.linalg.norm((found.astype(np.float64) - reference).ravel())
    return float(difference / max(float(np.linalg.norm(reference.astype(np.float64).ravel())), 1e-12))
