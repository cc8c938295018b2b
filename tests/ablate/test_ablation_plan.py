"""Which runs a suite needs: shared where they are equal, apart where they differ."""

from dataclasses import replace
from pathlib import Path

import pytest
from fake_trainings import DEMO

from vexkd.ablate.calibration import plan_calibrations
from vexkd.ablate.plan import Planner, Trial, check_overrides, fingerprint, in_order, plan_trials
from vexkd.ablate.suites import COMPONENTS, DEPTH, LEADERBOARD, LOSSES, MAIN, MASKS, ROBUSTNESS, SUITES, Suite
from vexkd.config import load_config
from vexkd.plugins.errors import UserError

OUT = Path("study")


def planner(*overrides: str, out: Path = OUT, data: str = "data") -> Planner:
    return Planner(DEMO, Path(data), out, overrides)


def trials(suite: Suite, made: Planner, seeds: int = 2) -> list[Trial]:
    return plan_trials(made, suite, suite.rows, ("detection",), ("lidar",), seeds)


def by_row(found: list[Trial]) -> dict[str, Trial]:
    return {trial.row.name: trial for trial in reversed(found)}


@pytest.mark.parametrize("suite", SUITES, ids=lambda suite: suite.name)
@pytest.mark.parametrize("scale", ["demo", "nuscenes"])
def test_every_row_of_every_suite_is_a_valid_config_with_a_baseline(suite: Suite, scale: str) -> None:
    made = replace(planner(), scale=replace(DEMO, recipes=scale))
    found = plan_trials(made, suite, suite.rows, ("detection", "segmentation"), ("lidar", "camera"), 2)
    assert suite.baseline in {row.name for row in suite.rows}
    assert len({row.name for row in suite.rows}) == len(suite.rows)
    assert {trial.sensor for trial in found} == ({"lidar+camera"} if suite.teachers else {"lidar", "camera"})
    # Different rows are different runs; a teacher is the same whatever its student's sensor.
    assert len({(trial.sensor, trial.run.name) for trial in found}) == len(found)


def test_a_teacher_is_trained_once_for_all_rows_and_seeds_and_goes_on_from_the_lidar_student():
    runs = in_order(trial.run for trial in trials(MASKS, planner(), seeds=3))
    teachers = [run for run in runs if run.config.train.stage == "teacher"]
    assert len(teachers) == 1
    assert teachers[0].config.train.seed == 0
    assert [run.name for run in teachers[0].needs] == [planner().plain("detection", "lidar", 0).name]
    assert teachers[0].config.train.init == teachers[0].needs[0].folder
    students = [run for run in runs if run.config.distill is not None]
    assert len(students) == 6 * 3
    assert {run.config.distill.teacher for run in students} == {teachers[0].folder}
    order = [run.name for run in runs]
    assert all(order.index(needed.name) < order.index(run.name) for run in runs for needed in run.needs)


def test_suites_share_runs_whose_configs_are_equal():
    plain = {by_row(trials(suite, planner()))[suite.baseline].run.name for suite in (MAIN, COMPONENTS, MASKS)}
    assert len(plain) == 1
    assert by_row(trials(MAIN, planner()))["distilled"].run.name == by_row(trials(MASKS, planner()))["learned"].run.name
    assert by_row(trials(MAIN, planner()))["teacher"].run.name == by_row(trials(ROBUSTNESS, planner()))["mgfm"].run.name


def test_a_seed_is_the_same_for_all_rows():
    for trial in trials(MASKS, planner(), seeds=3):
        assert trial.run.config.train.seed == trial.seed


def test_components_without_the_fusion_module_are_taught_by_the_convolutional_fuser():
    rows = by_row(trials(COMPONENTS, planner()))
    kinds = {name: trial.run.needs[0].config.model.fusion.kind for name, trial in rows.items() if trial.run.needs}
    assert kinds == {"+MGFM": "mgfm", "+L-MFD": "conv", "+H-MFD": "conv", "all": "mgfm"}
    settings = {name: trial.run.config.distill for name, trial in rows.items()}
    assert settings["baseline"] is None
    assert {name: (d.levels, d.mask) for name, d in settings.items() if d is not None} == {
        "+MGFM": (("low", "high"), "whole"),
        "+L-MFD": (("low",), "random_query"),
        "+H-MFD": (("high",), "random_query"),
        "all": (("low", "high"), "learned"),
    }


def test_a_teacher_of_all_scenes_is_a_row_only_where_scenes_are_limited():
    assert "distilled from all scenes" not in by_row(trials(MAIN, planner()))
    rows = by_row(trials(MAIN, planner("data.train_scenes=2")))
    run = rows["distilled from all scenes"].run
    assert run.config.data.train_scenes == 2
    assert run.needs[0].config.data.train_scenes is None
    assert rows["distilled"].run.needs[0].config.data.train_scenes == 2


def test_settings_go_to_the_runs_that_have_their_section():
    rows = by_row(trials(MAIN, planner("distill.weight=9", "model.camera.channels=16", "train.epochs=3")))
    assert rows["plain"].run.config.model.camera is None
    assert rows["teacher"].run.config.model.camera.channels == 16
    assert rows["distilled"].run.config.distill.weight == 9
    assert {trial.run.config.train.epochs for trial in rows.values()} == {3}
    # What a row is about is not overruled.
    assert by_row(trials(MASKS, planner("distill.mask=whole")))["gaussian"].run.config.distill.mask == "gaussian"


def test_names_follow_what_changes_the_result_and_nothing_else():
    names = {run.name for run in in_order(trial.run for trial in trials(MAIN, planner()))}
    moved = planner("data.workers=3", "data.cache=false", out=Path("elsewhere"), data="other")
    assert {run.name for run in in_order(trial.run for trial in trials(MAIN, moved))} == names
    changed = planner("train.lr=0.5")
    assert not names & {run.name for run in in_order(trial.run for trial in trials(MAIN, changed))}
    # A student of another teacher is another run, too.
    other = planner("model.camera.channels=16")
    assert by_row(trials(MAIN, other))["distilled"].run.name != by_row(trials(MAIN, planner()))["distilled"].run.name
    assert by_row(trials(MAIN, other))["plain"].run.name == by_row(trials(MAIN, planner()))["plain"].run.name


def test_the_command_makes_the_very_config(tmp_path: Path) -> None:
    run = by_row(trials(MASKS, planner()))["gaussian"].run
    _, recipe, *options, _, _, _ = run.arguments()
    config = load_config(Path(recipe), options[1::2])
    assert config == run.config and fingerprint(config) == fingerprint(run.config)
    assert run.command().startswith("vexkd train configs/demo/detection/distill-lidar.yaml --set data.root=data ")


def test_a_calibrated_weight_keeps_the_proportion_of_mu():
    made = planner()
    row = next(row for row in LOSSES.rows if row.name == "l2")
    own = made.distilled("detection", "lidar", 0).config.distill
    found = made.row(row, "detection", "lidar", 0, weight=4 * own.weight).config.distill
    assert (found.loss, found.weight, found.mu) == ("l2", 4 * own.weight, pytest.approx(4 * own.mu))


def test_a_calibration_is_long_enough_to_measure():
    rows = [row for row in LOSSES.rows if row.name == "l2"]
    (found,) = plan_calibrations(planner(), rows, ("detection",), ("camera",), keyframes=7)
    # 120 steps of 2 keyframes are 240, of 7 keyframes each 34.3 times.
    for run in (found.own, found.other):
        assert (run.config.train.repeat, run.config.train.epochs, run.config.train.batch_size) == (35, 1, 2)
    assert (found.own.config.distill.loss, found.other.config.distill.loss) == ("attention", "l2")
    assert found.own.config.distill.weight == found.other.config.distill.weight


def test_depth_varies_the_blocks_alone():
    found = [trial.run.config for trial in trials(DEPTH, planner(), seeds=1)]
    assert [config.distill.blocks for config in found] == [1, 2, 3, 4]
    same = {config.model_copy(update={"distill": config.distill.model_copy(update={"blocks": 1})}) for config in found}
    assert len(same) == 1


def test_published_kinds_of_loss_say_that_they_are_ours():
    for row in LEADERBOARD.rows:
        if row.kind == "distilled" and row.name != "learned masks":
            assert row.description.startswith("the kind of ") and "our implementation" in row.description


def test_what_the_plan_sets_itself_is_refused():
    with pytest.raises(UserError, match=r"train\.seed cannot be set for a whole suite; use --seeds"):
        check_overrides(["train.seed=3"])
    with pytest.raises(UserError, match=r"distill\.teacher"):
        check_overrides(["distill.teacher=runs/teacher"])
