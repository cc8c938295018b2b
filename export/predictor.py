"""A bundle as the predictor that evaluation takes."""

import numpy as np
from numpy.typing import NDArray

from vexkd.data.sample import Sample
from vexkd.engines.pipeline import Pipeline
from vexkd.evaluation.boxes import Boxes
from vexkd.evaluation.run import Predictor


def bundle_predictor(pipeline: Pipeline) -> Predictor:
    """A bundle's pipeline, whose score threshold should be 0: the metrics take all boxes."""

    def detect(sample: Sample) -> Boxes:
        found = pipeline(sample).boxes
        assert found is not None
        return Boxes(*found)

    def segment(sample: Sample) -> NDArray[np.float32]:
        logits = pipeline(sample).logits
        assert logits is not None
        return logits

    manifest = pipeline.bundle.manifest
    detection = manifest.task == "detection"
    return Predictor(
        detect=detect if detection else None,
        segment=None if detection else segment,
        camera="camera" in manifest.sensors,
        lidar="lidar" in manifest.sensors,
    )
