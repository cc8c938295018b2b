"""Where a student's features are compared with its teacher's: in metres, on the teacher's cells that both cover."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from vexkd.geometry import BevGrid

BORDER = 2
"""Cells along the rim of either grid that are left out: there zero padding, which differs from one network to the
other, makes up more of a feature than the scene does."""


class CommonArea(nn.Module):
    """Resamples a student's BEV map to the teacher's cells, and tells which of these cells are compared.

    Attributes:
        inside: (1, 1, H, W) float32 on the teacher's grid, 1 where both grids have a cell away from their rims.
    """

    inside: Tensor
    locations: Tensor

    def __init__(self, student: BevGrid, teacher: BevGrid) -> None:
        super().__init__()
        (x, x_inside), (y, y_inside) = (
            _axis(getattr(student, axis), getattr(teacher, axis), student.cell, teacher.cell) for axis in ("x", "y")
        )
        self.same = (student.x, student.y, student.cell) == (teacher.x, teacher.y, teacher.cell)
        rows, columns = torch.meshgrid(y, x, indexing="ij")
        self.register_buffer("locations", torch.stack([columns, rows], dim=-1)[None], persistent=False)
        self.register_buffer("inside", (y_inside[:, None] & x_inside).float()[None, None], persistent=False)

    def forward(self, feature: Tensor) -> Tensor:
        """A map (B, C, h, w) on the student's grid at the centres of the teacher's cells: (B, C, H, W)."""
        if self.same:
            return feature
        locations = self.locations.expand(len(feature), -1, -1, -1)
        return functional.grid_sample(feature.float(), locations, padding_mode="border", align_corners=False)


def _axis(
    student: tuple[float, float], teacher: tuple[float, float], student_cell: float, teacher_cell: float
) -> tuple[Tensor, Tensor]:
    """Centres of the teacher's cells in grid_sample's coordinates of the student's axis, and which are compared."""
    cells = round((teacher[1] - teacher[0]) / teacher_cell)
    centres = teacher[0] + (torch.arange(cells, dtype=torch.float64) + 0.5) * teacher_cell
    inside = torch.ones(cells, dtype=torch.bool)
    for (low, high), cell in ((student, student_cell), (teacher, teacher_cell)):
        inside &= (centres > low + BORDER * cell) & (centres < high - BORDER * cell)
    low, high = student
    return ((centres - low) / (high - low) * 2 - 1).float(), inside
