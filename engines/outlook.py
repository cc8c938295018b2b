"""What projections say of the limits, on machines where the limits' card is not at hand. Never a verdict."""

from collections.abc import Mapping, Sequence
from typing import Literal

from vexkd.engines.limits import Limits
from vexkd.engines.projection import Interval, Projection
from vexkd.engines.verdict import FPS, SPEEDUP, Counted, Section, find_pair

Prospect = Literal["above", "below", "undecided", "not projected"]


class Outlook(Section):
    """A projection beside one limit. It is no verdict."""

    model: str
    bundle: str | None
    limit: str
    wanted: str
    projected: Interval | None
    prospect: Prospect
    """``above`` or ``below``: the whole interval is on that side of the limit; ``undecided``: the limit lies in it."""

    def line(self) -> str:
        """One line of a report; it says that nothing was measured."""
        told = "no projection" if self.projected is None else f"{self.projected.low:.1f} .. {self.projected.high:.1f}"
        return f"projected, no verdict: {self.model}: {self.limit} {self.wanted}: {told} ({self.prospect})"


def outlook(projections: Mapping[str, Projection], counted: Sequence[Counted], limits: Limits) -> list[Outlook]:
    """Put projections beside the limits on time, for machines without the limits' card. Nothing here is a verdict.

    Args:
        projections: of bundles by name, onto the limits' card.
        counted: see :func:`vexkd.engines.verdict.judge`.
        limits: see :func:`vexkd.engines.limits.read_limits`.

    Returns:
        Two lines for each student of the limits: frames per second, and the speedup over the teacher.

    Raises:
        ValueError: a projection is for another card.
    """
    foreign = sorted({projection.card for projection in projections.values()} - {limits.card})
    if foreign:
        raise ValueError(f"the limits are for {limits.card}, projections are for {', '.join(foreign)}")
    lines: list[Outlook] = []
    for wanted in limits.students:
        student, teacher = find_pair(counted, wanted, limits)
        name = None if student is None else student.bundle
        own = None if student is None else projections.get(student.bundle)
        other = None if teacher is None else projections.get(teacher.bundle)
        # Both are projected by the same shares of the same peaks, so their ends are compared like with like.
        ratios = [] if own is None or other is None else _ratios(own.fps, other.fps)
        speedup = Interval(low=min(ratios), high=max(ratios)) if ratios else None
        for limit, floor, found in ((FPS, wanted.fps, own.fps if own else None), (SPEEDUP, wanted.speedup, speedup)):
            lines.append(
                Outlook(
                    model=wanted.name,
                    bundle=name,
                    limit=limit,
                    wanted=f">= {floor:g}",
                    projected=found,
                    prospect=_prospect(found, floor),
                )
            )
    return lines


def _ratios(student: Interval, teacher: Interval) -> list[float]:
    return [student.low / teacher.low, student.high / teacher.high]


def _prospect(found: Interval | None, floor: float) -> Prospect:
    if found is None:
        return "not projected"
    if found.low >= floor:
        return "above"
    return "below" if found.high < floor else "undecided"
