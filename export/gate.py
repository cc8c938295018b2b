"""A bundle is as accurate as the trained model: both are evaluated on annotated keyframes, and the loss is limited.

:func:`vexkd.export.reference.find_reference` gives what a bundle is held against, :func:`measure` evaluates a bundle
whatever is in its model, and :func:`admit` decides. So several candidates can be measured before one is written.
"""

import logging
from typing import NamedTuple

from vexkd.engines.bundle import Bundle
from vexkd.engines.manifest import Accuracy, Metric
from vexkd.engines.pipeline import Pipeline
from vexkd.export.predictor import bundle_predictor
from vexkd.export.reference import Progress, Reference, figures
from vexkd.plugins.errors import UserError

logger = logging.getLogger(__name__)

FRAMES = 200
"""Keyframes that tell two models apart well enough: both see the same ones, so that chance is in neither's favour."""
QUANTISED = ("int8", "fp8")
"""Precisions that may lose more, and that are not exported unmeasured."""
RELATIVE, RELATIVE_QUANTISED = 0.005, 0.02
"""Share of the trained model's metric that a bundle may lose."""
ABSOLUTE = 0.005
"""What it may lose in any case: a small share of a small metric is less than chance."""


class Gate(NamedTuple):
    """How accuracy is measured, and what follows."""

    split: str | None = None
    """By default ``data.val_split`` of the run."""
    frames: int = FRAMES
    """Keyframes at most, evenly spread over the split."""
    accept: bool = False
    """Write a bundle that loses more than it may, all the same."""


STRICT = Gate()


def measure(bundle: Bundle, reference: Reference, progress: Progress) -> Accuracy:
    """Evaluate a bundle in ONNX Runtime on the CPU, with native operators, beside the trained model.

    Args:
        bundle: folder and manifest, which need not be written yet.
        reference: what to hold it against.
        progress: told what begins.
    """
    pipeline = Pipeline(bundle, "cpu", score_threshold=0.0)
    found = figures(bundle_predictor(pipeline), reference.frames, "accuracy of the bundle", progress)
    metrics = {
        name: Metric(reference=value, bundle=found[name], limit=limit(value, bundle.manifest.precision))
        for name, value in reference.metrics.items()
    }
    return Accuracy(
        split=reference.split,
        frames=len(reference.frames),
        available=reference.available,
        runtime=pipeline.session.runtime,
        metrics=metrics,
        passed=all(metric.holds for metric in metrics.values()),
        accepted=False,
    )


def limit(reference: float, precision: str) -> float:
    """What a bundle of this precision may lose of a metric."""
    relative = RELATIVE_QUANTISED if precision in QUANTISED else RELATIVE
    return max(relative * reference, ABSOLUTE)


def admit(accuracy: Accuracy, precision: str, accept: bool) -> Accuracy:
    """The accuracy of a bundle that may be written.

    Raises:
        UserError: it lost more than it may, and that is not accepted.
    """
    if accuracy.passed:
        return accuracy
    lost = "; ".join(
        f"{name} falls from {metric.reference:.4f} to {metric.bundle:.4f}, by {metric.reference - metric.bundle:.4f} "
        f"where {metric.limit:.4f} is allowed"
        for name, metric in accuracy.metrics.items()
        if not metric.holds
    )
    told = f"{lost} ({accuracy.frames} keyframes of {accuracy.split})"
    if not accept:
        other = "" if precision == "fp32" else f"export it without --{precision}, or "
        raise UserError(f"the export is refused: {told}; {other}write it all the same with --accept")
    logger.warning("the bundle is less accurate than it should be, which was accepted: %s", told)
    return accuracy.model_copy(update={"accepted": True})
