"""A suite from request to report with faked trainings, and one for real."""

import json
from pathlib import Path
from typing import Any

import pytest
from fake_trainings import DEMO, FakeTraining

from vexkd.ablate import request as requests
from vexkd.ablate.ablate import ablate
from vexkd.ablate.plan import PlannedRun
from vexkd.ablate.report import print_results
from vexkd.ablate.request import Request, make_request
from vexkd.plugins.errors import UserError

SCORES = {("plain", 0): 0.30, ("plain", 1): 0.40, ("whole", 0): 0.31, ("whole", 1): 0.42}


def score(run: PlannedRun) -> float:
    distill = run.config.distill
    if run.config.train.stage == "teacher":
        return 0.6
    return SCORES.get(("plain" if distill is None else distill.mask, run.config.train.seed), 0.5)


@pytest.fixture
def demo_scale(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(requests, "SCALES", (DEMO,))


def ask(suite: str, data: Path, out: Path, **more: Any) -> Request:
    told = {"tasks": ["detection"], "sensors": ["lidar"], "seeds": 2, "command": "vexkd ablate ..."} | more
    return make_request(suite, data, out, "demo", **told)


def run(request: Request, train: FakeTraining) -> dict[str, Any]:
    return ablate(request, lambda line: None, train)


@pytest.mark.usefixtures("demo_scale")
class TestFaked:
    def test_figures_are_paired_with_the_baseline(self, keyframes: Path, tmp_path: Path, capsys) -> None:
        results = run(ask("masks", keyframes, tmp_path / "study", rows=["whole"]), FakeTraining(score))
        (group,) = results["groups"]
        assert [row["row"] for row in group["rows"]] == ["none", "whole"]
        figure = group["rows"][1]["figures"]["mAP"]
        assert figure["values"] == {"0": 0.31, "1": 0.42}
        assert figure["mean"] == pytest.approx(0.365)
        assert figure["difference"]["mean"] == pytest.approx(0.015)
        # Differences .01 and .02: deviation .00707107, reach 12.7062 * .00707107 / sqrt(2).
        assert figure["difference"]["interval"] == pytest.approx([0.015 - 0.0635310, 0.015 + 0.0635310], abs=1e-6)
        assert group["rows"][0]["figures"]["mAP"]["difference"] is None
        print_results(results)
        assert "not significant" in " ".join(capsys.readouterr().out.split())

    def test_the_report_says_how_it_was_made(self, keyframes: Path, tmp_path: Path) -> None:
        out = tmp_path / "study"
        results = run(ask("masks", keyframes, out, rows=["whole"]), FakeTraining(score))
        folder = out / "reports" / "masks"
        assert json.loads((folder / "results.json").read_text()) == json.loads(json.dumps(results))
        assert (folder / "results.png").read_bytes()[:4] == b"\x89PNG"
        for name in ("results.md", "report.html"):
            text = (folder / name).read_text()
            for part in (
                "vexkd ablate ...",
                str(keyframes),
                "train (2 scenes, 2 keyframes)",
                "val (1 scenes, 1 keyframes)",
                "c0de",
                "abacus",
            ):
                assert part in text, f"{name} lacks {part}"
        assert (
            "| whole | 2 | 0.365 ± 0.078 | +0.015 [-0.049, +0.079] not significant |"
            in (folder / "results.md").read_text()
        )

    def test_every_row_and_seed_has_a_record(self, keyframes: Path, tmp_path: Path) -> None:
        out = tmp_path / "study"
        run(ask("masks", keyframes, out, rows=["whole"]), FakeTraining(score))
        folder = out / "records" / "masks"
        names = {f"detection-lidar-{row}-seed{seed}.json" for row in ("none", "whole") for seed in (0, 1)}
        assert {path.name for path in folder.iterdir()} == names
        record = json.loads((folder / "detection-lidar-whole-seed1.json").read_text())
        assert (record["suite"], record["row"], record["seed"]) == ("masks", "whole", 1)
        assert record["metrics"] == {"mAP": 0.42, "NDS": 0.42}
        assert record["config"]["distill"]["mask"] == "whole"
        assert record["teacher"]["metrics"]["mAP"] == 0.6
        assert record["command"].startswith("vexkd train configs/demo/detection/distill-lidar.yaml")
        assert (record["seconds"], record["commit"], record["distillation"]["mask_epochs"]) == (2.0, "c0de", 3)

    def test_another_suite_in_the_folder_trains_only_what_is_new(self, keyframes: Path, tmp_path: Path) -> None:
        train = FakeTraining(score)
        run(ask("masks", keyframes, tmp_path / "study"), train)
        count = len(train.made)
        run(ask("main", keyframes, tmp_path / "study"), train)
        assert len(train.made) == count
        run(ask("masks", keyframes, tmp_path / "study", seeds=3), train)
        assert len(train.made) == count + 7

    def test_losses_get_weights_of_equal_gradient(self, keyframes: Path, tmp_path: Path) -> None:
        ratios = {"attention": 0.12, "l1": 0.06, "l2": 0.48, "smooth_l1": 0.12}
        train = FakeTraining(score, lambda run: ratios[run.config.distill.loss] if run.config.distill else 0.0)
        results = run(ask("losses", keyframes, tmp_path / "study", seeds=1), train)
        rows = results["groups"][0]["rows"]
        own = json.loads((tmp_path / "study/records/losses/detection-lidar-attention-seed0.json").read_text())
        weight = own["config"]["distill"]["weight"]
        ratio = ratios[own["config"]["distill"]["loss"]]
        expected = {loss: weight * ratio / found for loss, found in ratios.items()}
        assert {row["row"]: row["calibrated_weight"] for row in rows} == pytest.approx(expected, rel=5e-3)
        assert results["failures"] == {}

    def test_a_log_without_ratios_leaves_the_row_out(self, keyframes: Path, tmp_path: Path, monkeypatch) -> None:
        monkeypatch.setattr("vexkd.ablate.calibration.RATIO", "nothing")
        results = run(ask("losses", keyframes, tmp_path / "study", rows=["l1"], seeds=1), FakeTraining(score))
        assert any("holds no nothing" in reason for reason in results["failures"].values())

    def test_a_loss_without_gradient_has_no_weight(self, keyframes: Path, tmp_path: Path) -> None:
        train = FakeTraining(score, lambda run: 0.0 if run.config.distill and run.config.distill.loss == "l1" else 0.2)
        results = run(ask("losses", keyframes, tmp_path / "study", rows=["l1"], seeds=1), train)
        assert [row["row"] for row in results["groups"][0]["rows"]] == ["attention"]
        assert "has no gradient" in next(iter(results["failures"].values()))

    def test_a_missing_sensor_is_a_figure_of_its_own(self, keyframes: Path, tmp_path: Path, monkeypatch) -> None:
        left = {"lidar": 0.1, "camera": 0.2}
        monkeypatch.setattr(
            "vexkd.ablate.records.metrics_without", lambda run, sensor, root: {"mAP": left[sensor], "NDS": left[sensor]}
        )
        request = ask("robustness", keyframes, tmp_path / "study", sensors=[], rows=["mgfm"], seeds=1)
        (group,) = run(request, FakeTraining(score))["groups"]
        assert group["sensor"] == "lidar+camera"
        assert [row["row"] for row in group["rows"]] == ["mgfm", "conv"]
        means = {name: figure["mean"] for name, figure in group["rows"][0]["figures"].items()}
        assert (means["NDS"], means["NDS without LiDAR"], means["NDS without cameras"]) == (0.6, 0.1, 0.2)

    def test_one_seed_has_no_interval(self, keyframes: Path, tmp_path: Path) -> None:
        run(ask("masks", keyframes, tmp_path / "study", rows=["whole"], seeds=1), FakeTraining(score))
        text = (tmp_path / "study/reports/masks/results.md").read_text()
        assert "| whole | 1 | 0.310 | +0.010 (one seed) |" in text

    def test_a_failed_run_is_reported_beside_the_rest(self, keyframes: Path, tmp_path: Path) -> None:
        train = FakeTraining(score, broken=("whole-attention-seed1",))
        results = run(ask("masks", keyframes, tmp_path / "study", rows=["whole"]), train)
        assert len(results["failures"]) == 1
        assert [len(row["seeds"]) for row in results["groups"][0]["rows"]] == [2, 1]
        assert "not finite" in (tmp_path / "study/reports/masks/report.html").read_text()

    def test_a_folder_of_something_else_or_of_other_data_is_refused(self, keyframes: Path, tmp_path: Path) -> None:
        (tmp_path / "mine").mkdir()
        (tmp_path / "mine" / "file").write_text("keep me")
        train = FakeTraining(score)
        with pytest.raises(UserError, match="something else than a study"):
            run(ask("masks", keyframes, tmp_path / "mine", rows=["whole"]), train)
        request = ask("masks", keyframes, tmp_path / "study", rows=["whole"])
        run(request, train)
        marker = tmp_path / "study" / "study.json"
        marker.write_text(marker.read_text().replace('"digest": "', '"digest": "0'))
        count = len(train.made)
        with pytest.raises(UserError, match="has other keyframes; give another --out"):
            run(request, train)
        assert len(train.made) == count
