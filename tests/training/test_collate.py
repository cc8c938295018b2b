"""Batches from samples: padding, frustum, augmented images, teachers, targets."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from tiny_models import RAW_SIZE, tiny_config
from tiny_runs import keyframe

from vexkd.data.augment import ImageChange
from vexkd.data.collate import POINT_STEP, collate, pad_points
from vexkd.models.frustum import ray_inputs
from vexkd.models.image_preparation import ImagePreparation, warp
from vexkd.plugins.errors import UserError
from vexkd.plugins.frustum import image_transform


def test_points_are_padded_to_a_step_and_counted():
    clouds = [np.ones((3, 5), np.float32), np.full((POINT_STEP + 1, 5), 2, np.float32), np.zeros((0, 5), np.float32)]
    points, counts = pad_points(clouds)
    assert points.shape == (3, 2 * POINT_STEP, 5)
    assert counts.tolist() == [3, POINT_STEP + 1, 0]
    assert points[0, :3].all() and not points[0, 3:].any() and not points[2].any()
    assert pad_points([np.zeros((0, 5), np.float32)])[0].shape == (1, POINT_STEP, 5)


def test_a_student_gets_its_own_sensor_only():
    samples = [keyframe(0), keyframe(1)]
    lidar = collate(samples, tiny_config("lidar")).inputs
    assert lidar.images is None and lidar.rays is None and lidar.origins is None and lidar.counts.tolist() == [100, 140]
    camera = collate(samples, tiny_config("camera")).inputs
    assert camera.points is None and camera.counts is None and camera.images.shape == (2, 2, *RAW_SIZE, 3)
    assert camera.image_transforms is None
    assert torch.equal(camera.images[1], torch.from_numpy(samples[1].images))


def test_the_rays_are_those_of_the_models_helper():
    samples, config = [keyframe(0), keyframe(1)], tiny_config("camera")
    inputs = collate(samples, config).inputs
    intrinsics, poses = (np.stack([getattr(s, name) for s in samples]) for name in ("intrinsics", "camera_to_ego"))
    rays, origins = ray_inputs(config.camera, intrinsics, poses, RAW_SIZE)
    assert inputs.rays.shape == (4, 3, 3) and np.array_equal(inputs.rays.numpy(), rays)
    assert inputs.origins.shape == (4, 3) and np.array_equal(inputs.origins.numpy(), origins)


def test_no_change_of_the_image_gives_the_fixed_resize_and_crop():
    config = tiny_config("camera")
    changes = [[ImageChange(1.0, 0.0)] * 2]
    plain, changed = collate([keyframe(0)], config).inputs, collate([keyframe(0)], config, image_changes=changes).inputs
    torch.testing.assert_close(plain.rays, changed.rays)
    assert torch.equal(plain.origins, changed.origins)
    prepare = ImagePreparation(config.camera.image_size)
    torch.testing.assert_close(
        prepare(plain.images, changed.image_transforms), prepare(plain.images), atol=2e-4, rtol=0
    )


def test_a_box_centre_is_where_the_augmented_image_and_its_frustum_put_it():
    """Project a bright point by hand through calibration and augmentation; the warped image shows it there."""
    config = tiny_config("camera")
    sample = keyframe(0)
    place = np.array([7.0, 0.6, 1.2])
    camera = np.linalg.inv(sample.camera_to_ego[0]) @ [*place, 1]
    pixel = sample.intrinsics[0] @ camera[:3]
    u, v = np.round(pixel[:2] / pixel[2]).astype(int)
    images = np.zeros_like(sample.images)
    images[0, v - 1 : v + 2, u - 1 : u + 2] = 255
    sample = replace(sample, images=images)
    change = ImageChange(0.9, np.deg2rad(5))
    inputs = collate([sample], config, image_changes=[[change, change]]).inputs
    size = config.camera.image_size
    raw = inputs.images.float().flatten(0, 1).permute(0, 3, 1, 2)
    shown = warp(raw, inputs.image_transforms, size)[0, 0].numpy()
    expected = change.matrix(size) @ image_transform(RAW_SIZE, size) @ [u, v, 1]
    row, column = np.unravel_index(shown.argmax(), shown.shape)
    assert abs(column - expected[0]) <= 1 and abs(row - expected[1]) <= 1


def test_a_teachers_inputs_share_the_sensors_and_have_their_own_rays():
    student, teacher = tiny_config("lidar"), tiny_config("mgfm")
    batch = collate([keyframe(0)], student, teacher=teacher)
    assert batch.inputs.images is None and batch.teacher_inputs.images is not None
    assert batch.teacher_inputs.points is batch.inputs.points
    camera = tiny_config("camera")
    coarse = camera.model_copy(update={"camera": camera.camera.model_copy(update={"image_size": (16, 32)})})
    batch = collate([keyframe(0)], coarse, teacher=teacher, image_changes=[[ImageChange(0.9, 0.1)] * 2])
    assert batch.teacher_inputs.images is batch.inputs.images
    assert batch.teacher_inputs.rays.shape == batch.inputs.rays.shape
    assert not torch.allclose(batch.teacher_inputs.rays, batch.inputs.rays)
    assert not torch.equal(batch.teacher_inputs.image_transforms, batch.inputs.image_transforms)


def test_boxes_with_too_few_points_are_no_targets():
    targets = collate([keyframe(0), keyframe(1)], tiny_config("lidar"), min_lidar_points=1).targets
    assert [len(boxes) for boxes in targets.boxes] == [3, 3]
    assert [labels.tolist() for labels in targets.labels] == [[0, 8, 0]] * 2
    assert targets.map_labels.shape == (2, 6, 200, 200)
    bare = collate([replace(keyframe(0), map_labels=None)], tiny_config("lidar")).targets
    assert bare.map_labels is None and len(bare.boxes[0]) == 4


def test_images_of_two_sizes_in_a_batch_are_refused():
    other = replace(keyframe(1), images=np.zeros((2, 10, 10, 3), np.uint8))
    with pytest.raises(UserError, match=r"one size.*batch_size=1"):
        collate([keyframe(0), other], tiny_config("camera"))


def test_moving_keeps_values_and_what_is_shared(monkeypatch):
    batch = collate([keyframe(0)], tiny_config("lidar"), teacher=tiny_config("mgfm"))
    moves: list[int] = []

    def copy(tensor, device, non_blocking):
        moves.append(id(tensor))
        return tensor.clone()

    monkeypatch.setattr(torch.Tensor, "to", copy)
    moved = batch.to(torch.device("cpu"))
    assert moved.inputs.points is not batch.inputs.points
    assert torch.equal(moved.inputs.points, batch.inputs.points)
    assert moved.teacher_inputs.points is moved.inputs.points
    assert moved.teacher_inputs.counts is moved.inputs.counts
    assert len(moves) == len(set(moves)), "what is shared is moved once"
    assert batch.tokens == ("keyframe-0",)
