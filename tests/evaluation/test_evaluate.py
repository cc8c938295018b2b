"""A predictor over a data set: metrics, order, submission, and mistakes a user can make."""

import io
import json

import numpy as np
import pytest
from rich.console import Console

from vexkd.config import DataConfig
from vexkd.data.dataset import NuScenesDataset
from vexkd.data.sample import Sample
from vexkd.evaluation.boxes import Boxes
from vexkd.evaluation.evaluate import evaluate_detection, evaluate_segmentation
from vexkd.evaluation.run import Predictor, evaluate_split
from vexkd.evaluation.tables import print_json, print_metrics
from vexkd.plugins.errors import UserError


def oracle(sample: Sample) -> Boxes:
    """The annotations with at least one point."""
    kept = sample.num_points > 0
    return Boxes(np.nan_to_num(sample.boxes[kept]), np.ones(kept.sum(), np.float32), sample.labels[kept])


@pytest.fixture(scope="module")
def data(real_data) -> DataConfig:
    return DataConfig(root=real_data, sweeps=0, workers=0)


def test_a_perfect_detector_is_perfect(data):
    result = evaluate_detection(NuScenesDataset(data, "all", images=False), oracle, match_radius=1.0)
    assert result.metrics["match"]["recall"] == result.metrics["match"]["precision"] == 1.0
    assert result.metrics["match"]["objects"] == 26
    assert result.metrics["classes"]["car"]["AP"] == pytest.approx(1.0)


def test_a_submission_holds_every_keyframe_in_the_devkits_form(data, tmp_path):
    predictor = Predictor(oracle, None, camera=False, lidar=True)
    evaluate_split(predictor, data, "all", submission=tmp_path / "sub.json")
    content = json.loads((tmp_path / "sub.json").read_text())
    assert content["meta"] == {
        "use_camera": False,
        "use_lidar": True,
        "use_radar": False,
        "use_map": False,
        "use_external": False,
    }
    assert len(content["results"]) == 1
    record = next(iter(content["results"].values()))[0]
    fields = "sample_token translation size rotation velocity detection_name detection_score attribute_name"
    assert set(record) == set(fields.split())


def test_options_of_detection_are_refused_for_segmentation(data, tmp_path):
    predictor = Predictor(None, lambda sample: np.zeros((6, 200, 200), np.float32), camera=True, lidar=False)
    with pytest.raises(UserError, match="belong to detection"):
        evaluate_split(predictor, data, "all", match_radius=1.0)
    with pytest.raises(UserError, match="above 0"):
        evaluate_split(Predictor(oracle, None, False, True), data, "all", match_radius=-1.0)


def test_segmentation_needs_map_labels(data):
    with pytest.raises(UserError, match="map expansion"):
        dataset = NuScenesDataset(data, "all", images=False)
        evaluate_segmentation(dataset, lambda sample: np.zeros((6, 200, 200), np.float32))


class Repeating:
    """A data set that gives its first keyframe twice, as one does that skips a damaged keyframe."""

    def __init__(self, dataset: NuScenesDataset) -> None:
        self.dataset, self.nusc, self.tokens = dataset, dataset.nusc, dataset.tokens

    def __len__(self) -> int:
        return 2

    def __getitem__(self, index: int) -> Sample:
        return self.dataset[0]


def test_a_keyframe_that_stands_in_for_a_damaged_one_counts_once(data):
    result = evaluate_detection(Repeating(NuScenesDataset(data, "all", images=False)), oracle, match_radius=1.0)
    assert result.metrics["match"]["objects"] == 26
    assert result.metrics["classes"]["car"]["AP"] == pytest.approx(1.0)


def test_metrics_print_as_tables_and_as_json(data, capsys):
    metrics = evaluate_detection(NuScenesDataset(data, "all", images=False), oracle, match_radius=1.0).metrics
    stream = io.StringIO()
    print_metrics(metrics, Console(file=stream, width=120))
    shown = stream.getvalue()
    assert "mAP" in shown and "Found objects" in shown and "pedestrian" in shown
    print_metrics({"mIoU": 0.5, "classes": {"divider": {"IoU": None, "threshold": None}}}, Console(file=stream))
    assert "mIoU 0.500" in stream.getvalue()
    capsys.readouterr()
    print_json(metrics)
    assert json.loads(capsys.readouterr().out) == metrics
