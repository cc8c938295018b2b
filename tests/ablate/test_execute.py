"""The executor with faked trainings: order, reuse, failures, and what a process says when it fails."""

import threading
import time
from pathlib import Path

import pytest
from fake_trainings import DEMO, FakeTraining

from vexkd.ablate.plan import PlannedRun, Planner, in_order, plan_trials
from vexkd.ablate.run import RunFailed, execute, last_line, train_in_process
from vexkd.ablate.suites import MASKS
from vexkd.plugins.errors import UserError


@pytest.fixture
def runs(tmp_path: Path) -> list[PlannedRun]:
    """Two plain students, the teacher and four distilled students."""
    planner = Planner(DEMO, tmp_path / "data", tmp_path)
    rows = [row for row in MASKS.rows if row.name in ("none", "whole", "learned")]
    return in_order(t.run for t in plan_trials(planner, MASKS, rows, ("detection",), ("lidar",), 2))


def test_all_are_made_once_and_reused(runs: list[PlannedRun]) -> None:
    train, said = FakeTraining(), list[str]()
    assert execute(runs, train, 1, said.append) == {}
    assert train.made == [run.name for run in runs]
    assert execute(runs, train, 2, said.append) == {}
    assert len(train.made) == len(runs)
    assert said[-1] == "7 of 7 runs are there already"


def test_an_unfinished_run_is_made_again_and_a_changed_one_is_refused(runs: list[PlannedRun]) -> None:
    train = FakeTraining()
    execute(runs, train, 1, lambda line: None)
    (runs[3].folder / "metrics.json").unlink()
    execute(runs, train, 1, lambda line: None)
    assert train.made[len(runs) :] == [runs[3].name]
    config = runs[3].folder / "config.yaml"
    config.write_text(config.read_text().replace("lr: 0.004", "lr: 0.5"))
    with pytest.raises(UserError, match="holds a run of another config"):
        execute(runs, train, 1, lambda line: None)


def test_what_fails_is_told_and_the_rest_goes_on(runs: list[PlannedRun]) -> None:
    train, said = FakeTraining(broken=("whole-attention-seed1",)), list[str]()
    failures = execute(runs, train, 2, said.append)
    assert len(failures) == 1
    assert next(iter(failures.values())) == "vexkd: the loss is not finite"
    assert len(train.made) == len(runs)
    assert any(line.startswith("failed") and "not finite" in line for line in said)


def test_what_needs_a_failed_run_is_left_out(runs: list[PlannedRun]) -> None:
    train = FakeTraining(broken=("teacher",))
    failures = execute(runs, train, 2, lambda line: None)
    assert len(failures) == 5
    assert sum("which failed" in reason for reason in failures.values()) == 4
    assert len(train.made) == 3


def test_jobs_run_side_by_side_and_no_more_of_them(runs: list[PlannedRun]) -> None:
    fake, lock, active, most = FakeTraining(), threading.Lock(), 0, 0

    def train(run: PlannedRun) -> None:
        nonlocal active, most
        with lock:
            active += 1
            most = max(most, active)
        time.sleep(0.05)
        with lock:
            active -= 1
        fake(run)

    assert execute(runs, train, 2, lambda line: None) == {}
    assert most == 2


def test_a_process_that_fails_gives_its_last_line(runs: list[PlannedRun], tmp_path: Path) -> None:
    with pytest.raises(RunFailed, match=r"vexkd: data root .*data is no folder.*exit code 2"):
        train_in_process(runs[0], tmp_path)


def test_the_last_line_is_found_behind_a_progress_bar(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("first\nEpoch 0:  10%\rEpoch 0: 100%\rValueError: no\n\n")
    assert last_line(log) == "ValueError: no"
    log.write_text("")
    assert last_line(log) == "no output"
