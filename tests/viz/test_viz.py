"""Pictures show things where they are: projections against the devkit, BEV pixels against hand-computed places."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vexkd.data.sample import Sample
from vexkd.geometry import box_corners
from vexkd.viz.bev import bev_canvas, bev_pixels, bev_upright, draw_bev_boxes
from vexkd.viz.cameras import draw_boxes, project
from vexkd.viz.detection import draw_sample
from vexkd.viz.maps import map_picture

CAR = np.array([[10.0, 2.0, 0.5, 4.0, 2.0, 1.5, 0.3, 0.0, 0.0]])
FORWARD_CAMERA = np.array([[0, 0, 1, 0], [-1, 0, 0, 0], [0, -1, 0, 1.5], [0, 0, 0, 1]], dtype=np.float64)
INTRINSICS = np.array([[300.0, 0, 200], [0, 300.0, 100], [0, 0, 1]])


def sample(views: int) -> Sample:
    rng = np.random.default_rng(0)
    return Sample(
        token="t",
        timestamp=0,
        points=rng.uniform(-40, 40, (500, 5)).astype(np.float32),
        images=rng.integers(0, 255, (views, 90, 160, 3), dtype=np.uint8),
        intrinsics=np.repeat(INTRINSICS[None], views, axis=0),
        camera_to_ego=np.repeat(FORWARD_CAMERA[None], views, axis=0),
        ego_to_global=np.eye(4),
        boxes=CAR.astype(np.float32),
        labels=np.zeros(1, dtype=np.int64),
        num_points=np.ones(1, dtype=np.int64),
        map_labels=None,
    )


def test_corners_project_as_the_devkit_projects_them() -> None:
    pytest.importorskip("nuscenes")
    from nuscenes.utils.data_classes import Box
    from nuscenes.utils.geometry_utils import view_points
    from pyquaternion import Quaternion

    x, y, z, length, width, height, yaw = CAR[0, :7]
    box = Box([x, y, z], [width, length, height], Quaternion(axis=[0, 0, 1], angle=yaw))
    ego_to_camera = np.linalg.inv(FORWARD_CAMERA)
    theirs = ego_to_camera[:3, :3] @ box.corners() + ego_to_camera[:3, 3:]
    expected = view_points(theirs, INTRINSICS, normalize=True)[:2].T
    ours = box_corners(CAR)[0] @ ego_to_camera[:3, :3].T + ego_to_camera[:3, 3]
    pixels = project(ours, INTRINSICS)
    # The devkit lists the corners in another order.
    distance = np.abs(pixels[:, None] - expected[None]).max(axis=-1)
    assert distance.min(axis=0).max() < 1e-6 and distance.min(axis=1).max() < 1e-6


def test_a_box_is_drawn_around_its_projected_centre_only() -> None:
    image = Image.new("RGB", (400, 200))
    draw_boxes(image, CAR, [(255, 0, 0)], INTRINSICS, FORWARD_CAMERA)
    rows, columns = np.nonzero(np.asarray(image)[..., 0])
    centre = project(CAR[0, :3] @ FORWARD_CAMERA[:3, :3] - FORWARD_CAMERA[:3, 3] @ FORWARD_CAMERA[:3, :3], INTRINSICS)
    assert columns.min() < centre[0] < columns.max() and rows.min() < centre[1] < rows.max()
    assert columns.max() - columns.min() < 200


@pytest.mark.parametrize("x", [-10.0, 0.0])
def test_boxes_behind_or_around_the_camera_do_not_fail(x: float) -> None:
    box = CAR.copy()
    box[0, :2] = (x, 0.0)
    image = Image.new("RGB", (400, 200))
    draw_boxes(image, box, [(255, 0, 0)], INTRINSICS, FORWARD_CAMERA)
    if x < -5:
        assert not np.asarray(image).any()


def test_bev_pixels_put_forward_up_and_left_left() -> None:
    pixels = bev_pixels(np.array([[50.0, 50.0], [-50.0, -50.0], [0.0, 0.0]]), size=100, reach=50)
    np.testing.assert_allclose(pixels, [[0, 0], [100, 100], [50, 50]])


def test_bev_upright_agrees_with_bev_pixels() -> None:
    grid = np.zeros((8, 8))
    grid[6, 1] = 1  # iy = 6: y = 2.5, ix = 1: x = -2.5
    column, row = bev_pixels(np.array([-2.5, 2.5]), size=8, reach=4)
    assert bev_upright(grid)[int(row), int(column)] == 1


def test_points_and_boxes_lie_where_they_are() -> None:
    image = bev_canvas(np.array([[10.5, -20.5, 0.0]]), size=100, reach=50)
    assert np.asarray(image)[39, 70].sum() > np.asarray(image)[5, 5].sum()
    draw_bev_boxes(image, CAR, [(255, 0, 0)], reach=50)
    rows, columns = np.nonzero((np.asarray(image) == (255, 0, 0)).all(axis=-1))
    assert rows.min() < 40 < rows.max() + 1 and abs(columns.mean() - 48) < 2


@pytest.mark.parametrize("views", [0, 6])
def test_draw_sample_writes_a_picture(tmp_path: Path, views: int) -> None:
    draw_sample(sample(views), CAR, np.array([0]), tmp_path / "sample.png")
    assert Image.open(tmp_path / "sample.png").width > (1900 if views else 700)
    assert [path.name for path in tmp_path.iterdir()] == ["sample.png"]


def test_a_map_picture_marks_the_cell() -> None:
    labels = np.zeros((6, 4, 4), dtype=np.uint8)
    labels[0, 3, 3] = 1
    pixels = np.asarray(map_picture(labels, size=4))
    assert (pixels[0, 0] != pixels[3, 3]).any()
