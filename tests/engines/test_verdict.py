"""Limits, verdicts and outlooks."""

from pathlib import Path

import pytest

from vexkd.engines.limits import Limits, read_limits
from vexkd.engines.manifest import Cost
from vexkd.engines.outlook import outlook
from vexkd.engines.projection import Interval, Projection
from vexkd.engines.verdict import Counted, Measured, Verdict, judge, passed
from vexkd.plugins.errors import UserError

SHIPPED = Path(__file__).parents[2] / "configs/bench/rtx4090.yaml"
GPU = "NVIDIA GeForce RTX 4090"
LIMITS = Limits.model_validate(
    {
        "card": "RTX 4090",
        "precision": "fp16",
        "students": [
            {
                "task": "detection",
                "sensors": ["camera"],
                "fps": 150,
                "p99_ms": 10,
                "gflops": 290,
                "speedup": 3,
                "gflops_share": 0.334,
                "accuracy_share": 0.5,
            }
        ],
    }
)


def counted(bundle: str, gflops: float, *sensors: str, precision: str = "fp16") -> Counted:
    cost = Cost(gflops=gflops, gflops_by_operator={}, parameters=1, stages=())
    return Counted(bundle=bundle, task="detection", sensors=sensors, precision=precision, cost=cost)


def measured(bundle: str, fps: float, gpu: str | None = GPU, accuracy: float | None = None) -> Measured:
    return Measured(bundle=bundle, gpu=gpu, fps=fps, p99_ms=1100 / fps, accuracy=accuracy)


STUDENT, TEACHER = counted("student", 260.0, "camera"), counted("teacher", 880.0, "camera", "lidar")


def outcomes(verdicts: list[Verdict]) -> list[str]:
    return [verdict.outcome for verdict in verdicts]


def test_a_run_on_the_card_is_judged_line_by_line() -> None:
    runs = [measured("student", 160.0, accuracy=0.4), measured("teacher", 40.0, accuracy=0.7)]
    verdicts = judge(runs, [STUDENT, TEACHER], LIMITS)
    assert outcomes(verdicts) == ["pass"] * 6 and passed(verdicts)
    found = [verdict.found for verdict in verdicts]
    assert found == pytest.approx([160.0, 1100 / 160, 260.0, 4.0, 260 / 880, 0.4 / 0.7])
    assert verdicts[0].line() == "pass: detection, camera: frames per second >= 150: found 160"


def test_each_limit_can_be_missed() -> None:
    runs = [measured("student", 100.0, accuracy=0.3), measured("teacher", 40.0, accuracy=0.7)]
    verdicts = judge(runs, [counted("student", 300.0, "camera"), TEACHER], LIMITS)
    assert outcomes(verdicts) == ["fail"] * 6 and not passed(verdicts)


@pytest.mark.parametrize("gpu", [None, "NVIDIA H100 80GB HBM3", "NVIDIA GeForce RTX 4090 Laptop GPU"])
def test_times_from_elsewhere_are_no_verdict_but_counts_are(gpu: str | None) -> None:
    runs = [measured("student", 10.0, gpu), measured("teacher", 1.0, gpu)]
    verdicts = judge(runs, [STUDENT, TEACHER], LIMITS)
    assert outcomes(verdicts) == ["not measured"] * 2 + ["pass", "not measured", "pass", "not measured"]
    assert verdicts[0].reason == f"student ran on {gpu or 'a CPU'}, the limit is for RTX 4090"
    assert verdicts[0].found is None and passed(verdicts)
    assert verdicts[5].reason.startswith("the accuracy of student is not known; measure it with: vexkd eval")


def test_what_is_missing_is_named() -> None:
    run = [measured("student", 160.0, accuracy=0.4)]
    alone = judge(run, [STUDENT], LIMITS)
    assert outcomes(alone) == ["pass", "pass", "pass", "not measured", "not measured", "not measured"]
    assert alone[4].reason == "no fp16 teacher for detection is among the bundles"
    none = judge([], [counted("other", 1.0, "camera", precision="fp32")], LIMITS)
    assert outcomes(none) == ["not measured"] * 6 and none[0].bundle is None
    assert none[2].reason == "no fp16 bundle for detection, camera is among the bundles"


def test_no_number_keeps_no_limit() -> None:
    runs = [Measured(bundle="student", gpu=GPU, fps=float("nan"), p99_ms=float("nan"))]
    assert outcomes(judge(runs, [STUDENT], LIMITS))[:2] == ["fail", "fail"]


def projection(low: float, high: float, card: str = "RTX 4090") -> Projection:
    times = Interval(low=1000 / high, high=1000 / low)
    fps = Interval(low=low, high=high)
    return Projection(card=card, stages=(), network_ms=times, total_ms=times, fps=fps, assumptions=())


@pytest.mark.parametrize(
    ("low", "high", "prospect"), [(160.0, 300.0, "above"), (100.0, 200.0, "undecided"), (50.0, 100.0, "below")]
)
def test_a_projection_is_beside_the_limit_and_no_verdict(low: float, high: float, prospect: str) -> None:
    lines = outlook({"student": projection(low, high), "teacher": projection(20.0, 50.0)}, [STUDENT, TEACHER], LIMITS)
    assert [line.limit for line in lines] == ["frames per second", "speed over the teacher's"]
    assert lines[0].prospect == prospect
    assert lines[1].projected == Interval(low=min(low / 20, high / 50), high=max(low / 20, high / 50))
    assert lines[0].line().startswith("projected, no verdict: detection, camera: frames per second >= 150")


def test_an_outlook_says_what_is_missing_and_refuses_other_cards() -> None:
    assert [line.prospect for line in outlook({}, [STUDENT], LIMITS)] == ["not projected"] * 2
    with pytest.raises(ValueError, match="the limits are for RTX 4090, projections are for H100"):
        outlook({"student": projection(1.0, 2.0, "H100")}, [STUDENT], LIMITS)


def test_the_shipped_limits() -> None:
    limits = read_limits(SHIPPED)
    assert (limits.card, limits.precision) == ("RTX 4090", "fp16")
    floors = {(student.task, student.sensors[0]): student.fps for student in limits.students}
    assert floors == {
        (task, sensor): fps
        for task in ("detection", "segmentation")
        for sensor, fps in (("camera", 150), ("lidar", 200))
    }
    assert all(student.speedup == 3 and student.gflops_share < 0.334 for student in limits.students)
    # A floor of the frame rate that its own 99th percentile contradicts would be a slip.
    assert all(student.p99_ms >= 1000 / student.fps for student in limits.students)


@pytest.mark.parametrize(
    ("replaced", "by", "message"),
    [
        ("fps: 150 ", "fps: fast ", "students.0.fps: Input should be a valid number, unable to parse .*got 'fast'"),
        ("fps: 150 ", "fps: -1 ", "students.0.fps: Input should be greater than 0 .got -1"),
        ("p99_ms: 10.0 ", "p98_ms: 10.0 ", "students.0.p99_ms is missing; unknown key students.0.p98_ms"),
        ("card: RTX 4090", "card: RTX 2080", "card: no peaks are on record for this card .got 'RTX 2080'"),
        ("sensors: [lidar]", "sensors: [camera]", "detection, camera.* has limits twice"),
        ("sensors: [camera]", "sensors: [radar]", "students.0.sensors.0: Input should be 'camera' or 'lidar'"),
    ],
)
def test_wrong_limits_are_one_line(tmp_path: Path, replaced: str, by: str, message: str) -> None:
    text = SHIPPED.read_text(encoding="utf-8")
    assert replaced in text
    file = tmp_path / "limits.yaml"
    file.write_text(text.replace(replaced, by), encoding="utf-8")
    with pytest.raises(UserError, match=message) as refusal:
        read_limits(file)
    assert "\n" not in str(refusal.value) and str(file) in str(refusal.value)


def test_unreadable_limits_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"cannot read the limits .*: No such file"):
        read_limits(tmp_path / "none.yaml")
    file = tmp_path / "limits.yaml"
    for text, message in (
        ("a: [", "is not valid YAML"),
        ("[]", "must hold a YAML mapping of card, precision, students"),
    ):
        file.write_text(text, encoding="utf-8")
        with pytest.raises(UserError, match=message):
            read_limits(file)
