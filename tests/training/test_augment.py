"""Augmentation keeps sensors and targets in agreement."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vexkd.classes import MAP_UNKNOWN
from vexkd.config import AugmentConfig
from vexkd.data.augment import (
    ImageChange,
    changes_images,
    changes_scene,
    draw_image_change,
    scene_transform,
    transform_map,
    transform_scene,
)
from vexkd.data.sample import Sample
from vexkd.geometry import HEIGHT, LENGTH, WIDTH, YAW, Floats

ALL = AugmentConfig(rotate=0.8, scale=(0.9, 1.1), translate=0.5, flip_x=True, flip_y=True)
seeds = st.integers(0, 2**32 - 1)


def sample(rng: np.random.Generator, points_per_box: int = 20) -> Sample:
    """Boxes with points inside them, and one camera that looks along a random direction."""
    boxes = np.zeros((5, 9), np.float32)
    boxes[:, :3] = rng.uniform([-40, -40, -2], [40, 40, 2], (5, 3))
    boxes[:, 3:6] = rng.uniform(0.5, 8, (5, 3))
    boxes[:, YAW] = rng.uniform(-np.pi, np.pi, 5)
    boxes[:, 7:] = rng.normal(0, 5, (5, 2))
    local = rng.uniform(-0.45, 0.45, (5, points_per_box, 3)) * boxes[:, None, [LENGTH, WIDTH, HEIGHT]]
    points = np.zeros((5 * points_per_box, 5), np.float32)
    points[:, :3] = from_box(local, boxes).reshape(-1, 3)
    pose = np.eye(4)
    yaw = rng.uniform(-np.pi, np.pi)
    pose[:3, :3] = np.array([[0, 0, 1], [-1, 0, 0], [0, -1, 0]])
    pose[:3, :3] = np.array([[np.cos(yaw), -np.sin(yaw), 0], [np.sin(yaw), np.cos(yaw), 0], [0, 0, 1]]) @ pose[:3, :3]
    pose[:3, 3] = rng.uniform(-2, 2, 3)
    return Sample(
        token="t",
        timestamp=0,
        points=points,
        images=np.zeros((1, 90, 160, 3), np.uint8),
        intrinsics=np.array([[[120.0, 0, 80], [0, 120, 45], [0, 0, 1]]]),
        camera_to_ego=pose[None],
        ego_to_global=np.eye(4),
        boxes=boxes,
        labels=np.zeros(5, np.int64),
        num_points=np.full(5, points_per_box),
        map_labels=None,
    )


def from_box(local: Floats, boxes: Floats) -> Floats:
    cos, sin = np.cos(boxes[:, YAW, None]), np.sin(boxes[:, YAW, None])
    x, y, z = np.moveaxis(local, -1, 0)
    return np.stack([cos * x - sin * y, sin * x + cos * y, z], -1) + boxes[:, None, :3]


def inside(points: Floats, box: Floats) -> bool:
    offset = points - box[:3]
    cos, sin = np.cos(box[YAW]), np.sin(box[YAW])
    local = np.stack(
        [cos * offset[:, 0] + sin * offset[:, 1], cos * offset[:, 1] - sin * offset[:, 0], offset[:, 2]], 1
    )
    return bool((np.abs(local) <= box[[LENGTH, WIDTH, HEIGHT]] / 2).all())


def project(sample: Sample, points: Floats) -> Floats:
    """Pixels (M, 2) and depth in front of the first camera."""
    homogeneous = np.concatenate([points, np.ones((len(points), 1))], 1)
    camera = homogeneous @ np.linalg.inv(sample.camera_to_ego[0]).T
    pixels = camera[:, :3] @ sample.intrinsics[0].T
    return pixels[:, :2] / pixels[:, 2:]


@settings(max_examples=60, deadline=None)
@given(seeds)
def test_points_stay_in_their_boxes_and_pixels_where_they_were(seed):
    rng = np.random.default_rng(seed)
    before = sample(rng)
    matrix = scene_transform(ALL, rng)
    after = transform_scene(before, matrix)
    for i, box in enumerate(after.boxes):
        assert inside(after.points[20 * i : 20 * (i + 1), :3], box)
    np.testing.assert_allclose(
        project(after, after.points[:, :3]), project(before, before.points[:, :3]), rtol=1e-2, atol=1.0
    )
    assert (after.boxes[:, YAW] <= np.float32(np.pi)).all() and (after.boxes[:, YAW] > -np.float32(np.pi)).all()


@settings(max_examples=30, deadline=None)
@given(seeds)
def test_velocity_moves_with_the_box(seed):
    """Where a box is a second later does not depend on whether it moves before or after the augmentation."""
    rng = np.random.default_rng(seed)
    before = sample(rng)
    matrix = scene_transform(ALL, rng)
    later = before.boxes.copy()
    later[:, :2] += later[:, 7:]
    from dataclasses import replace

    moved_first = transform_scene(replace(before, boxes=later), matrix).boxes
    moved_after = transform_scene(before, matrix).boxes
    np.testing.assert_allclose(moved_first[:, :2], moved_after[:, :2] + moved_after[:, 7:], atol=1e-3)


def test_sizes_follow_the_scale_and_global_places_stay():
    rng = np.random.default_rng(0)
    before = sample(rng)
    matrix = scene_transform(AugmentConfig(scale=(1.2, 1.2), translate=1.0, rotate=0.3), rng)
    after = transform_scene(before, matrix)
    np.testing.assert_allclose(after.boxes[:, 3:6], 1.2 * before.boxes[:, 3:6], rtol=1e-6)
    world = after.points[:, :3] @ after.ego_to_global[:3, :3].T + after.ego_to_global[:3, 3]
    np.testing.assert_allclose(world, before.points[:, :3], atol=1e-4)


def test_unknown_velocity_stays_unknown():
    before = sample(np.random.default_rng(0))
    before.boxes[2, 7:] = np.nan
    after = transform_scene(before, scene_transform(ALL, np.random.default_rng(1)))
    assert np.isnan(after.boxes[2, 7:]).all() and np.isfinite(after.boxes[[0, 1, 3, 4]]).all()


def test_defaults_change_nothing():
    assert not changes_scene(AugmentConfig()) and not changes_images(AugmentConfig())
    assert np.array_equal(scene_transform(AugmentConfig(), np.random.default_rng(0)), np.eye(4))
    change = draw_image_change(AugmentConfig(), np.random.default_rng(0))
    np.testing.assert_allclose(change.matrix((64, 176)), np.eye(3), atol=1e-12)
    assert changes_scene(ALL) and changes_images(AugmentConfig(image_rotate=5.4))


@pytest.mark.parametrize(("mirror", "turned"), [([-1, 1], np.s_[:, :, ::-1]), ([1, -1], np.s_[:, ::-1, :])])
def test_map_labels_mirror_exactly(mirror, turned):
    labels = (np.random.default_rng(0).random((6, 200, 200)) < 0.5).astype(np.uint8)
    assert np.array_equal(transform_map(labels, np.diag([*mirror, 1, 1.0])), labels[turned])


def test_map_labels_turn_with_the_points():
    """A quarter turn takes +x to +y: columns become rows."""
    labels = (np.random.default_rng(0).random((6, 200, 200)) < 0.5).astype(np.uint8)
    quarter = np.array([[0, -1.0, 0, 0], [1, 0, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]])
    moved = transform_map(labels, quarter)
    # The cell with centre (x, y) = (30.25, -10.25) goes to (10.25, 30.25).
    row, column = int((-10.25 + 50) / 0.5), int((30.25 + 50) / 0.5)
    assert np.array_equal(moved[:, int((30.25 + 50) / 0.5), int((10.25 + 50) / 0.5)], labels[:, row, column])
    assert moved.max() <= 1


def test_map_cells_from_outside_are_unknown():
    labels = np.ones((6, 200, 200), np.uint8)
    shift = np.eye(4)
    shift[0, 3] = 10.0
    moved = transform_map(labels, shift)
    assert (moved[:, :, :20] == MAP_UNKNOWN).all() and (moved[:, :, 20:] == 1).all()


def test_an_image_change_keeps_the_bottom_and_turns_about_the_centre():
    scaled = ImageChange(scale=0.8, angle=0.0).matrix((64, 176))
    np.testing.assert_allclose(scaled @ [87.5, 63.5, 1], [87.5, 63.5, 1])
    np.testing.assert_allclose(scaled @ [0, 0, 1], [87.5 * 0.2, 63.5 * 0.2, 1])
    turned = ImageChange(scale=1.0, angle=np.pi / 2).matrix((64, 176))
    np.testing.assert_allclose(turned @ [87.5, 31.5, 1], [87.5, 31.5, 1])
    np.testing.assert_allclose(turned @ [97.5, 31.5, 1], [87.5, 41.5, 1])


@settings(max_examples=30, deadline=None)
@given(seeds)
def test_draws_stay_in_their_ranges(seed):
    change = draw_image_change(AugmentConfig(image_resize=(0.8, 1.1), image_rotate=5.4), np.random.default_rng(seed))
    assert 0.8 <= change.scale <= 1.1 and abs(change.angle) <= np.deg2rad(5.4)
    matrix = scene_transform(ALL, np.random.default_rng(seed))
    assert 0.9 <= abs(np.linalg.det(matrix[:3, :3])) ** (1 / 3) <= 1.1
