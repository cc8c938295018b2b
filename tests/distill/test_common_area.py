"""Features of different grids are compared at the same places in metres."""

import pytest
import torch

from vexkd.distill.common_area import BORDER, CommonArea
from vexkd.distill.diagnostics import cell_centres
from vexkd.geometry import BevGrid

TEACHER = BevGrid(x=(-8.0, 8.0), y=(-4.0, 4.0), cell=1.0)


def ramp(grid: BevGrid) -> torch.Tensor:
    """Two channels that hold x and y of each cell's centre."""
    return torch.stack([torch.from_numpy(axis).float() for axis in cell_centres(grid)])[None]


@pytest.mark.parametrize(
    "student",
    [
        TEACHER,
        BevGrid(x=(-8.0, 8.0), y=(-4.0, 4.0), cell=0.5),
        BevGrid(x=(-10.0, 10.0), y=(-6.0, 6.0), cell=2.0),
        BevGrid(x=(-2.0, 12.0), y=(-5.0, 3.0), cell=1.0),
    ],
)
def test_a_place_in_metres_keeps_its_value(student: BevGrid) -> None:
    area = CommonArea(student, TEACHER)
    inside = area.inside[0, 0] > 0
    found, expected = area(ramp(student))[0][:, inside], ramp(TEACHER)[0][:, inside]
    assert inside.any()
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)


def test_the_rims_of_both_grids_are_left_out() -> None:
    area = CommonArea(BevGrid(x=(-2.0, 12.0), y=(-4.0, 4.0), cell=1.0), TEACHER)
    rows, columns = (area.inside[0, 0] > 0).nonzero(as_tuple=True)
    # Teacher's cells 0..15 along x start at -8 m; the student's begin at -2 m, which is the teacher's cell 6.
    assert (int(columns.min()), int(columns.max())) == (6 + BORDER, 15 - BORDER)
    assert (int(rows.min()), int(rows.max())) == (BORDER, 7 - BORDER)


def test_areas_that_do_not_meet_have_nothing_inside() -> None:
    assert not CommonArea(BevGrid(x=(8.0, 24.0), y=(-4.0, 4.0), cell=1.0), TEACHER).inside.any()
