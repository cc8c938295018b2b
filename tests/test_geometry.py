"""Properties of vexkd.geometry against independent computations."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from pydantic import ValidationError
from pyquaternion import Quaternion

from vexkd.geometry import VX, VY, YAW, BevGrid, box_corners, transform_boxes, transform_points, wrap_angle

angles = st.floats(-50.0, 50.0)
lengths = st.floats(0.1, 20.0)
places = st.floats(-100.0, 100.0)
boxes = st.tuples(places, places, places, lengths, lengths, lengths, st.floats(-3.1, 3.1), places, places).map(
    lambda values: np.array([values])
)


def _pose(yaw: float, x: float, y: float, z: float) -> NDArray[np.float64]:
    matrix = np.eye(4)
    matrix[:3, :3] = Quaternion(axis=[0, 0, 1], radians=yaw).rotation_matrix
    matrix[:3, 3] = (x, y, z)
    return matrix


@given(angles)
def test_wrapped_angle_points_the_same_way(angle: float) -> None:
    wrapped = float(wrap_angle(np.array(angle)))
    assert -np.pi < wrapped <= np.pi
    assert np.isclose(np.cos(wrapped), np.cos(angle), atol=1e-9) and np.isclose(
        np.sin(wrapped), np.sin(angle), atol=1e-9
    )


@pytest.mark.parametrize(("angle", "wrapped"), [(np.pi, np.pi), (-np.pi, np.pi), (3 * np.pi, np.pi), (0.0, 0.0)])
def test_the_half_turn_is_positive(angle: float, wrapped: float) -> None:
    assert wrap_angle(np.array(angle)) == pytest.approx(wrapped)


@given(boxes)
def test_corners_are_a_cuboid(box: NDArray[np.float64]) -> None:
    corners = box_corners(box)[0]
    assert np.allclose(corners.mean(axis=0), box[0, :3], atol=1e-6)
    length, width, height = box[0, 3:6]
    assert np.allclose(np.linalg.norm(corners[0] - corners[1], axis=-1), length, atol=1e-6)
    assert np.allclose(np.linalg.norm(corners[0] - corners[3], axis=-1), width, atol=1e-6)
    assert np.allclose(corners[4:] - corners[:4], [0, 0, height], atol=1e-6)


def test_corners_begin_front_left_and_turn_left() -> None:
    corners = box_corners(np.array([[1.0, 2.0, 3.0, 4.0, 2.0, 1.0, 0.0, 0.0, 0.0]]))[0]
    assert np.allclose(corners[:4], [[3, 3, 2.5], [-1, 3, 2.5], [-1, 1, 2.5], [3, 1, 2.5]])
    turned = box_corners(np.array([[0.0, 0.0, 0.0, 4.0, 2.0, 1.0, np.pi / 2, 0.0, 0.0]]))[0]
    assert np.allclose(turned[0], [-1, 2, -0.5])


@given(arrays(np.float64, (5, 4), elements=st.floats(-80, 80)), angles, places, places, places)
def test_points_go_there_and_back(points: NDArray[np.float64], yaw: float, x: float, y: float, z: float) -> None:
    pose = _pose(yaw, x, y, z)
    moved = transform_points(points, pose)
    assert np.array_equal(moved[:, 3], points[:, 3])
    assert np.allclose(transform_points(moved, np.linalg.inv(pose)), points, atol=1e-8)


@settings(max_examples=50)
@given(boxes, angles, places, places, places)
def test_moving_a_box_moves_its_corners(box: NDArray[np.float64], yaw: float, x: float, y: float, z: float) -> None:
    pose = _pose(yaw, x, y, z)
    moved = transform_boxes(box, pose)
    assert -np.pi < moved[0, YAW] <= np.pi
    assert np.allclose(box_corners(moved)[0], transform_points(box_corners(box)[0], pose), atol=1e-6)
    assert np.isclose(np.hypot(*moved[0, [VX, VY]]), np.hypot(*box[0, [VX, VY]]), atol=1e-6)
    back = transform_boxes(moved, np.linalg.inv(pose))
    assert np.allclose(np.delete(back, YAW, axis=1), np.delete(box, YAW, axis=1), atol=1e-6)
    assert np.isclose(np.cos(back[0, YAW] - box[0, YAW]), 1.0)


def test_an_unknown_velocity_stays_unknown() -> None:
    box = np.array([[0.0, 0, 0, 1, 1, 1, 0, np.nan, np.nan]])
    assert np.isnan(transform_boxes(box, _pose(1.0, 2, 3, 4))[0, [VX, VY]]).all()


def test_a_grid_counts_its_cells() -> None:
    grid = BevGrid(x=(-10.0, 30.0), y=(-5.0, 5.0), cell=0.5)
    assert (grid.height, grid.width) == (20, 80)
    assert grid.range == (-10.0, -5.0, -3.0, 30.0, 5.0, 5.0)
    assert grid.with_cell(0.25).width == 160
    assert grid.with_z((-10.0, 10.0)).range == (-10.0, -5.0, -10.0, 30.0, 5.0, 10.0)


@pytest.mark.parametrize("values", [{"x": (1.0, -1.0)}, {"cell": 0.7}, {"cell": 0.0}, {"colour": 1}])
def test_a_wrong_grid_is_refused(values: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        BevGrid(**values)  # type: ignore[arg-type]
