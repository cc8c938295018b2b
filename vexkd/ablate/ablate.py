"""A suite from request to report."""

from collections.abc import Iterable
from typing import Any

from vexkd.ablate.calibration import plan_calibrations
from vexkd.ablate.plan import Planner, Trial, in_order, plan_trials
from vexkd.ablate.records import make_record, write_record
from vexkd.ablate.report import write_report
from vexkd.ablate.request import Request, check_data
from vexkd.ablate.results import summarise
from vexkd.ablate.run import Tell, TrainOne, execute, is_finished, train_in_process
from vexkd.ablate.study import check_folder, describe_data, working_in
from vexkd.ablate.suites import Row
from vexkd.models.missing import Sensor
from vexkd.models.perception import Task
from vexkd.plugins.errors import UserError

Weights = dict[tuple[Row, Task, Sensor], float]


def ablate(request: Request, tell: Tell, train_one: TrainOne | None = None) -> dict[str, Any]:
    """Train what a suite needs and is not there yet, write records and report; what ``results.json`` holds.

    Args:
        request: the suite and its size.
        tell: takes lines about the progress.
        train_one: makes a run; by default ``vexkd train`` in a process of its own.

    Raises:
        UserError: the request does not fit the data, or the folder holds something else; nothing is trained then.
    """
    planner = Planner(request.scale, request.data, request.out, request.overrides)
    planned = _trials(request, planner, {})
    runs = in_order(trial.run for trial in planned)
    check_data(runs)
    data = describe_data(planned[0].run)
    check_folder(request.out, data)
    make: TrainOne = train_one or (lambda run: train_in_process(run, request.out))
    with working_in(request.out, data, tell):
        for run in runs:
            is_finished(run)
        weights, failures = _calibrated(request, planner, data["train"]["keyframes"], make, tell)
        # A row whose calibration failed is left out.
        trials = [t for t in _trials(request, planner, weights) if t.weight is not None or not t.row.calibrated]
        failures |= execute(in_order(trial.run for trial in trials), make, request.jobs, tell)
        records = _records(request, trials, failures, tell)
    results = {
        "suite": request.suite.name,
        "question": request.suite.question,
        "command": request.command,
        "scale": request.scale.name,
        "overrides": list(request.overrides),
        "seeds": request.seeds,
        "data": data,
        "commits": sorted({record["commit"] for record in records if record["commit"]}),
        "machines": sorted({_machine(record["machine"]) for record in records}),
        "groups": summarise(request.suite, records),
        "failures": failures,
    }
    tell(f"report: {write_report(request.out, results)}")
    return results


def _trials(request: Request, planner: Planner, weights: Weights) -> list[Trial]:
    return plan_trials(planner, request.suite, request.rows, request.tasks, request.sensors, request.seeds, weights)


def _calibrated(
    request: Request, planner: Planner, keyframes: int, make: TrainOne, tell: Tell
) -> tuple[Weights, dict[str, str]]:
    """Weights of the rows that want one, and what failed."""
    wanted = plan_calibrations(planner, request.rows, request.tasks, request.sensors, keyframes)
    if not wanted:
        return {}, {}
    tell(f"weights at which the KD term pulls equally hard, from short trainings for {len(wanted)} rows")
    runs = in_order(run for calibration in wanted for run in (calibration.own, calibration.other))
    failures = execute(runs, make, request.jobs, tell)
    weights: Weights = {}
    for calibration in wanted:
        try:
            weights[calibration.row, calibration.task, calibration.sensor] = calibration.weight()
        except UserError as error:
            failures.setdefault(calibration.other.name, str(error))
    return weights, failures


def _records(request: Request, trials: Iterable[Trial], failures: dict[str, str], tell: Tell) -> list[dict[str, Any]]:
    """Write the records of all trials that did not fail; what fails here is added to ``failures``."""
    records = []
    for trial in trials:
        if trial.run.name in failures:
            continue
        try:
            record = make_record(request.suite, trial)
        except UserError as error:
            failures[trial.run.name] = str(error)
            tell(f"failed {trial.run.name}: {error}")
            continue
        write_record(request.out, record)
        records.append(record)
    return records


def _machine(machine: dict[str, Any]) -> str:
    accelerator = machine["accelerator"]
    return f"{machine['processor']}, {machine['cores']} cores, " + (
        "no accelerator" if accelerator == "none" else str(accelerator)
    )
