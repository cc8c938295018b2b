"""Segmentation and distillation from data on disk to metrics, through the command line."""

import json
from pathlib import Path

import numpy as np
import pytest
from tiny_models import tiny_config

from vexkd.cli.app import main
from vexkd.config import DataConfig
from vexkd.data.collate import collate
from vexkd.data.dataset import NuScenesDataset
from vexkd.data.sample import Sample
from vexkd.evaluation.evaluate import evaluate_segmentation
from vexkd.training.samples import keyframe_classes
from vexkd.training.sampling import TrainingSampler

CONFIGS = Path(__file__).parents[2] / "configs"
SMALL = (
    "train.epochs=1 train.batch_size=1 data.sweeps=0 data.workers=0 model.grid.cell=3.6 "
    "model.encoder.channels=[8,8] model.encoder.layers=1 model.encoder.out_channels=16 model.head.channels=8 "
)
LIDAR = "model.lidar.pillar=3.6 model.lidar.channels=8 model.lidar.layers=1 "
CAMERA = (
    "model.camera.image_size=[32,64] model.camera.pretrained=null model.camera.backbone=tiny model.camera.stride=16 "
)
PRECISION = "train.precision=32 "


def command(*arguments: str) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(list(arguments))
    assert stopped.value.code == 0


def train(recipe: str, settings: str, root: Path, out: Path) -> None:
    options = [part for setting in f"data.root={root} {settings}".split() for part in ("--set", setting)]
    command("train", str(CONFIGS / "nuscenes" / recipe), *options, "--out", str(out))


def test_paper_recipes_run_from_teacher_to_metrics(keyframes, tmp_path, capsys):
    """The nuScenes recipes with every size cut down: teacher, distilled camera student, evaluation, submission."""
    small = SMALL + CAMERA + PRECISION
    fusion = "model.fusion.channels=8 model.fusion.blocks=1 model.fusion.heads=2 "
    train("detection/teacher.yaml", small + LIDAR + fusion, keyframes, tmp_path / "teacher")
    taught = f"distill.teacher={tmp_path / 'teacher'} distill.mask_channels=8 distill.heads=2 "
    # The camera student's grid spans 102.4 m.
    train("detection/distill-camera.yaml", small + taught + "model.grid.cell=3.2", keyframes, tmp_path / "student")
    capsys.readouterr()
    submission = tmp_path / "submission.json"
    command("eval", str(tmp_path / "student"), "--submission", str(submission), "--match", "2.0", "--json")
    metrics = json.loads(capsys.readouterr().out)
    assert {"mAP", "NDS", "match", "classes"} <= metrics.keys()
    assert len(json.loads(submission.read_text())["results"]) == 2
    trained = json.loads((tmp_path / "student" / "metrics.json").read_text())["metrics"]
    assert trained == {name: value for name, value in metrics.items() if name != "match"}


def test_a_segmentation_recipe_runs_to_its_iou(keyframes, tmp_path, capsys):
    train("segmentation/lidar.yaml", SMALL + LIDAR + PRECISION, keyframes, tmp_path / "run")
    capsys.readouterr()
    command("eval", str(tmp_path / "run"), "--split", "all", "--json")
    metrics = json.loads(capsys.readouterr().out)
    assert 0 <= metrics["mIoU"] <= 1
    command("eval", str(tmp_path / "run"))
    assert "drivable_area" in capsys.readouterr().out


def test_the_labels_as_logits_are_a_perfect_map(keyframes):
    dataset = NuScenesDataset(DataConfig(root=keyframes, sweeps=0), "all", images=False, map_labels=True)

    def perfect(sample: Sample) -> np.ndarray:
        assert sample.map_labels is not None
        return np.where(sample.map_labels, 9.0, -9.0).astype(np.float32)

    result = evaluate_segmentation(dataset, perfect, workers=1)
    assert result["mIoU"] == 1.0
    assert result["classes"]["drivable_area"]["IoU"] == 1.0


@pytest.mark.parametrize("least", [0, 1, 40])
def test_class_balanced_sampling_counts_the_targets_of_the_tables(keyframes, least):
    dataset = NuScenesDataset(DataConfig(root=keyframes, sweeps=0), "all", images=False)
    classes = keyframe_classes(dataset, least)
    targets = collate([dataset[i] for i in range(len(dataset))], tiny_config("lidar"), least).targets
    assert classes == [set(labels.tolist()) for labels in targets.labels]
    draws = list(TrainingSampler(len(dataset), seed=0, classes=classes))
    assert {draw.index for draw in draws} <= set(range(len(dataset)))
