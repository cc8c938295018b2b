"""Whether measured bundles reach their limits.

A verdict on time needs a run on the limits' own card; what is counted is judged anywhere. A projection is no ground for
a verdict: :mod:`vexkd.engines.outlook` puts it beside the limits.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Literal, NamedTuple

from pydantic import BaseModel, ConfigDict

from vexkd.engines.cards import known_card
from vexkd.engines.limits import Limits, StudentLimits, Task
from vexkd.engines.manifest import Cost

BOTH_SENSORS = ("camera", "lidar")

Outcome = Literal["pass", "fail", "not measured"]


class Section(BaseModel):
    """Base of what is judged and of what comes out."""

    model_config = ConfigDict(frozen=True)


class Counted(Section):
    """A bundle and what its manifest says of it, measured or not."""

    bundle: str
    task: Task
    sensors: tuple[str, ...]
    precision: str
    cost: Cost


class Measured(Section):
    """One bundle's run on this machine."""

    bundle: str
    gpu: str | None
    """The GPU that ran it, as the driver names it; None on a CPU."""
    fps: float
    """1 / median time from sensor data in the host's memory to boxes or a map."""
    p99_ms: float
    """99th percentile of that time."""
    accuracy: float | None = None
    """NDS or mIoU, where the bundle was evaluated."""


class Verdict(Section):
    """One limit of one student."""

    model: str
    """"detection, camera"."""
    bundle: str | None
    """The student that was judged; None where the run has none."""
    limit: str
    """What is limited, with its unit."""
    wanted: str
    """">= 150"."""
    found: float | None
    outcome: Outcome
    reason: str
    """Why it was not measured, or what was found against what was wanted."""

    def line(self) -> str:
        """One line of a report."""
        return f"{self.outcome}: {self.model}: {self.limit} {self.wanted}: {self.reason}"


def judge(measured: Sequence[Measured], counted: Sequence[Counted], limits: Limits) -> list[Verdict]:
    """Hold every student of the limits against what was measured and counted, line by line.

    The student of a line is the counted bundle with its task, sensors and the limits' precision; its teacher the one of
    the same task and precision with both sensors. Of several bundles, and of several runs of one, the first is taken.

    Args:
        measured: runs of bundles on this machine; times count on the limits' card only.
        counted: all bundles at hand, measured or not.
        limits: see :func:`vexkd.engines.limits.read_limits`.

    Returns:
        Six verdicts for each student of the limits, in their order.
    """
    runs = {run.bundle: run for run in reversed(measured)}
    verdicts: list[Verdict] = []
    for wanted in limits.students:
        student, teacher = find_pair(counted, wanted, limits)
        case = _Case(wanted, limits, student, teacher, runs)
        verdicts += [_verdict(case, line) for line in LINES]
    return verdicts


def passed(verdicts: Sequence[Verdict]) -> bool:
    """Whether no limit was missed; what was not measured misses none. A judged run ends with exit code 1 otherwise."""
    return all(verdict.outcome != "fail" for verdict in verdicts)


def find_pair(
    counted: Sequence[Counted], wanted: StudentLimits, limits: Limits
) -> tuple[Counted | None, Counted | None]:
    """The student that some limits are for, and its teacher; see :func:`judge`."""
    fits = [bundle for bundle in counted if (bundle.task, bundle.precision) == (wanted.task, limits.precision)]
    student, teacher = (
        next((bundle for bundle in fits if bundle.sensors == sensors), None)
        for sensors in (wanted.sensors, BOTH_SENSORS)
    )
    return student, teacher


class _Case(NamedTuple):
    wanted: StudentLimits
    limits: Limits
    student: Counted | None
    teacher: Counted | None
    runs: Mapping[str, Measured]

    def run(self, bundle: Counted) -> Measured:
        """The bundle's run on the limits' card."""
        run = self.runs.get(bundle.bundle)
        if run is None:
            raise _Unknown(f"{bundle.bundle} was not run")
        card = None if run.gpu is None else known_card(run.gpu)
        if card is None or card.name != self.limits.card:
            raise _Unknown(f"{bundle.bundle} ran on {run.gpu or 'a CPU'}, the limit is for {self.limits.card}")
        return run

    def accuracy(self, bundle: Counted) -> float:
        """The bundle's accuracy, on whatever machine."""
        run = self.runs.get(bundle.bundle)
        if run is None or run.accuracy is None:
            raise _Unknown(f"the accuracy of {bundle.bundle} is not known; measure it with: vexkd eval BUNDLE")
        return run.accuracy


class _Unknown(Exception):
    """Why a figure is not there."""


class _Line(NamedTuple):
    limit: str
    least: bool
    """Whether the limit is a floor."""
    bound: Callable[[StudentLimits], float]
    figure: Callable[[_Case, Counted, Callable[[], Counted]], float]
    """From the case, the student and a call that gives the teacher."""


FPS, SPEEDUP, P99 = "frames per second", "speed over the teacher's", "99th percentile, ms"
LINES = (
    _Line(FPS, True, lambda wanted: wanted.fps, lambda case, student, teacher: case.run(student).fps),
    _Line(P99, False, lambda wanted: wanted.p99_ms, lambda case, student, teacher: case.run(student).p99_ms),
    _Line("GFLOPs", False, lambda wanted: wanted.gflops, lambda case, student, teacher: student.cost.gflops),
    _Line(
        SPEEDUP,
        True,
        lambda wanted: wanted.speedup,
        lambda case, student, teacher: case.run(student).fps / case.run(teacher()).fps,
    ),
    _Line(
        "share of the teacher's GFLOPs",
        False,
        lambda wanted: wanted.gflops_share,
        lambda case, student, teacher: student.cost.gflops / teacher().cost.gflops,
    ),
    _Line(
        "share of the teacher's accuracy",
        True,
        lambda wanted: wanted.accuracy_share,
        lambda case, student, teacher: case.accuracy(student) / case.accuracy(teacher()),
    ),
)


def _verdict(case: _Case, line: _Line) -> Verdict:
    bound = line.bound(case.wanted)
    found, outcome, reason = _judged(case, line, bound)
    return Verdict(
        model=case.wanted.name,
        bundle=None if case.student is None else case.student.bundle,
        limit=line.limit,
        wanted=f"{'>=' if line.least else '<='} {bound:g}",
        found=found,
        outcome=outcome,
        reason=reason,
    )


def _judged(case: _Case, line: _Line, bound: float) -> tuple[float | None, Outcome, str]:
    def teacher() -> Counted:
        if case.teacher is None:
            raise _Unknown(f"no {case.limits.precision} teacher for {case.wanted.task} is among the bundles")
        return case.teacher

    try:
        if case.student is None:
            raise _Unknown(f"no {case.limits.precision} bundle for {case.wanted.name} is among the bundles")
        found = line.figure(case, case.student, teacher)
    except _Unknown as reason:
        return None, "not measured", str(reason)
    # Not a number keeps no limit.
    kept = found >= bound if line.least else found <= bound
    return found, "pass" if kept else "fail", f"found {found:.4g}"
