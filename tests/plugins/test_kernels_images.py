"""Image preparation against the numpy reference and torch."""

import ctypes

import numpy as np
import pytest
import torch
from clouds import THREADS, exact, same_bits
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from vexkd.plugins.frustum import image_transform
from vexkd.plugins.images import prepare_images
from vexkd.plugins.library import F16, PACKED8, ImageShape, KernelError, call, pointer
from vexkd.plugins.reference.images import prepare_images as reference

MEAN, DEVIATION = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)


def noise(views: int, height: int, width: int, seed: int = 0) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (views, height, width, 3), dtype=np.uint8)


@exact
@given(
    st.integers(0, 2),
    st.tuples(st.integers(1, 40), st.integers(1, 60)),
    st.tuples(st.integers(1, 30), st.integers(1, 600)),
    st.sampled_from([np.float32, np.float16]),
)
def test_agrees_with_the_reference(views: int, raw: tuple[int, int], size: tuple[int, int], dtype: type) -> None:
    images = noise(views, *raw)
    assert same_bits(
        prepare_images(images, size, MEAN, DEVIATION, dtype), reference(images, size, MEAN, DEVIATION, dtype)
    )


@pytest.mark.parametrize(("raw", "size"), [((90, 160), (26, 70)), ((45, 80), (64, 177)), ((30, 30), (30, 30))])
def test_agrees_with_torch_bilinear(raw: tuple[int, int], size: tuple[int, int]) -> None:
    images = noise(2, *raw)
    scale = max(size[0] / raw[0], size[1] / raw[1])
    resized = round(raw[0] * scale), round(raw[1] * scale)
    pixels = torch.from_numpy(images).permute(0, 3, 1, 2).float()
    whole = torch.nn.functional.interpolate(pixels, resized, mode="bilinear", align_corners=False)
    left = (resized[1] - size[1]) // 2
    crop = whole[:, :, resized[0] - size[0] :, left : left + size[1]]
    expected = (crop - torch.tensor(MEAN)[:, None, None]) / torch.tensor(DEVIATION)[:, None, None]
    ours = torch.from_numpy(prepare_images(images, size, MEAN, DEVIATION))
    torch.testing.assert_close(ours, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("threads", THREADS)
@pytest.mark.parametrize(("views", "size"), [(2, (26, 70)), (1, (9, 1100)), (0, (3, 4))])
def test_packed_pixels_are_the_planes_side_by_side(views: int, size: tuple[int, int], threads: int) -> None:
    images = noise(views, 45, 80)
    packed = np.full((views, *size, 8), np.nan, np.float16)
    constants = [np.array(values, np.float32) for values in (MEAN, DEVIATION)]
    shape = ImageShape(*images.shape[:3], *size)
    arguments = (pointer(images), ctypes.byref(shape), *map(pointer, constants), F16, PACKED8, pointer(packed))
    call("prepare_images_cpu", *arguments, threads)
    expected = np.zeros_like(packed)
    expected[..., :3] = reference(images, size, MEAN, DEVIATION, np.float16).transpose(0, 2, 3, 1)
    assert same_bits(packed, expected)


def test_a_pixel_lands_where_the_image_transform_says() -> None:
    images = np.zeros((1, 90, 160, 3), np.uint8)
    images[0, 60:64, 100:104] = 255
    prepared = prepare_images(images, (45, 80), (0, 0, 0), (1, 1, 1))[0, 0]
    rows, columns = np.nonzero(prepared)
    weights = prepared[rows, columns]
    centre = image_transform((90, 160), (45, 80)) @ [101.5, 61.5, 1]
    assert (weights @ columns / weights.sum(), weights @ rows / weights.sum()) == pytest.approx(centre[:2], abs=1e-6)


def test_same_bits_for_any_number_of_threads() -> None:
    images = noise(3, 90, 160)
    first = prepare_images(images, (50, 120), MEAN, DEVIATION, threads=1)
    assert all(same_bits(prepare_images(images, (50, 120), MEAN, DEVIATION, threads=n), first) for n in THREADS * 3)


def test_refuses_wrong_arguments() -> None:
    images = noise(1, 4, 6)
    with pytest.raises(ValueError, match="images must be uint8"):
        prepare_images(images.astype(np.float32), (2, 3), MEAN, DEVIATION)
    with pytest.raises(ValueError, match="3 numbers each"):
        prepare_images(images, (2, 3), MEAN[:2], DEVIATION)
    for deviation in ((0, 1, 1), (-1, 1, 1), (np.nan, 1, 1)):
        with pytest.raises(KernelError, match="invalid"):
            prepare_images(images, (2, 3), MEAN, deviation)
    with pytest.raises(KernelError, match="invalid"):
        prepare_images(images[:, :0], (2, 3), MEAN, DEVIATION)
