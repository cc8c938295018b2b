"""Carrying out planned runs, several side by side; what fails is told and the rest goes on."""

import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from pathlib import Path

from vexkd.ablate.plan import PlannedRun, fingerprint
from vexkd.plugins.errors import UserError
from vexkd.training.run import CONFIG, METRICS, load_run_config

LOGS = "logs"

TrainOne = Callable[[PlannedRun], None]
"""Makes a run or goes on with it; raises RunFailed."""
Tell = Callable[[str], None]


class RunFailed(Exception):
    """A training that ended without a result; the message is its last line."""


def execute(runs: Sequence[PlannedRun], train_one: TrainOne, jobs: int, tell: Tell) -> dict[str, str]:
    """Make all runs that are not finished, up to ``jobs`` at a time, each after those it needs.

    Args:
        runs: ordered by :func:`vexkd.ablate.plan.in_order`.
        train_one: makes one.
        jobs: how many at a time.
        tell: takes a line about every run that begins or ends.

    Returns:
        Why, for the name of every run that failed or that needed one that did.

    Raises:
        UserError: a folder holds a run of another config.
    """
    waiting = [run for run in runs if not is_finished(run)]
    if len(waiting) < len(runs):
        tell(f"{len(runs) - len(waiting)} of {len(runs)} runs are there already")
    done = {run.name for run in runs} - {run.name for run in waiting}
    failures: dict[str, str] = {}
    total, started = len(waiting), 0
    working: dict[Future[None], PlannedRun] = {}
    with ThreadPoolExecutor(jobs) as pool:
        try:
            while waiting or working:
                for run in list(waiting):
                    if broken := [needed.name for needed in run.needs if needed.name in failures]:
                        failures[run.name] = f"it needs {broken[0]}, which failed"
                        tell(f"left out {run.name}: {failures[run.name]}")
                        waiting.remove(run)
                    elif len(working) < jobs and all(needed.name in done for needed in run.needs):
                        started += 1
                        tell(f"[{started}/{total}] {run.name}")
                        working[pool.submit(train_one, run)] = run
                        waiting.remove(run)
                finished, _ = wait(working, return_when=FIRST_COMPLETED)
                for future in finished:
                    run = working.pop(future)
                    _conclude(future, run, done, failures, tell)
        except KeyboardInterrupt:
            # The trainings have had the same signal and stop; their checkpoints stay.
            pool.shutdown(wait=True, cancel_futures=True)
            raise
    return failures


def is_finished(run: PlannedRun) -> bool:
    """Whether the run folder holds the result of this very config.

    Raises:
        UserError: it holds another config's.
    """
    if (run.folder / CONFIG).is_file():
        found, expected = fingerprint(load_run_config(run.folder)), fingerprint(run.config)
        if found != expected:
            raise UserError(
                f"{run.folder} holds a run of another config (fingerprint {found}, expected {expected}); "
                "was its config.yaml changed? Move the folder away"
            )
    return (run.folder / METRICS).is_file()


def train_in_process(run: PlannedRun, out: Path, threads: int = 1) -> None:
    """Make a run by ``vexkd train`` in a process of its own; its output goes to a file under ``out``.

    A single thread each: trainings side by side gain nothing from more.

    Raises:
        RunFailed: it ended with an error.
    """
    log = out / LOGS / f"{run.name}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    environment = os.environ | {"OMP_NUM_THREADS": str(threads)}
    with log.open("wb") as file:
        # The lock of the study is inherited, so that nobody else starts on a training that outlives its parent.
        ended = subprocess.run(
            [sys.executable, "-m", "vexkd", *run.arguments()],
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            env=environment,
            close_fds=False,
            check=False,
        )
    if ended.returncode:
        raise RunFailed(f"{last_line(log)} (exit code {ended.returncode}, {log})")
    if not is_finished(run):
        raise RunFailed(f"it ended without {METRICS}, see {log}")


def last_line(log: Path) -> str:
    """The last line of a log that says anything; progress bars overwrite theirs."""
    lines = log.read_text(encoding="utf-8", errors="replace").replace("\r", "\n").splitlines()
    return next((line.strip() for line in reversed(lines) if line.strip()), "no output")


def _conclude(future: Future[None], run: PlannedRun, done: set[str], failures: dict[str, str], tell: Tell) -> None:
    try:
        future.result()
    except (RunFailed, UserError) as error:
        failures[run.name] = str(error)
        tell(f"failed {run.name}: {error}")
    else:
        done.add(run.name)
        tell(f"finished {run.name}")
