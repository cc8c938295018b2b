"""prepare_images_cuda against the numpy reference, to the bit, in the emulation and on a GPU."""

from typing import Any

import numpy as np
import pytest
from clouds import same_bits
from cuda_backends import SANITIZED, Backend, outcome, prepare_images
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from vexkd.plugins.library import PACKED8
from vexkd.plugins.reference.images import prepare_images as reference

few = settings(max_examples=40, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
MEAN = np.array([123.675, 116.28, 103.53], np.float32)
DEVIATION = np.array([58.395, 57.12, 57.375], np.float32)
DTYPES = [np.float32, np.float16]


@few
@given(
    st.integers(0, 3),
    st.tuples(st.integers(1, 40), st.integers(1, 60)),
    st.tuples(st.integers(1, 30), st.integers(1, 130)),
    st.sampled_from(DTYPES),
    st.integers(0, 2**32 - 1),
)
def test_agrees_with_the_reference(
    backend: Backend, views: int, raw: tuple[int, int], size: tuple[int, int], dtype: Any, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    images = rng.integers(0, 256, (views, *raw, 3), dtype=np.uint8)
    mean, deviation = rng.uniform(0, 255, 3).astype(np.float32), rng.uniform(0.1, 99, 3).astype(np.float32)
    (ours,) = outcome(prepare_images(backend, images, size, mean, deviation, dtype))
    assert same_bits(ours, reference(images, size, mean, deviation, dtype))


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_cameras_images(backend: Backend, dtype: Any) -> None:
    """The nuScenes sizes at a quarter, several views, each with its own content, from an odd address."""
    images = np.random.default_rng(0).integers(0, 256, (3, 225, 400, 3), dtype=np.uint8)
    backend.skew = 1
    try:
        (ours,) = outcome(prepare_images(backend, images, (64, 176), MEAN, DEVIATION, dtype))
    finally:
        backend.skew = 0
    assert same_bits(ours, reference(images, (64, 176), MEAN, DEVIATION, dtype))


def test_enlarged_images_and_tiles_cut_off_on_both_sides(backend: Backend) -> None:
    images = np.random.default_rng(1).integers(0, 256, (1, 3, 5, 3), dtype=np.uint8)
    (ours,) = outcome(prepare_images(backend, images, (41, 69), MEAN, DEVIATION, np.float32))
    assert same_bits(ours, reference(images, (41, 69), MEAN, DEVIATION, np.float32))


@pytest.mark.parametrize(("raw", "size"), [((90, 160), (45, 70)), ((3, 5), (41, 69)), ((1, 1), (1, 1))])
def test_packed_pixels(backend: Backend, raw: tuple[int, int], size: tuple[int, int]) -> None:
    images = np.random.default_rng(4).integers(0, 256, (2, *raw, 3), dtype=np.uint8)
    call = prepare_images(backend, images, size, MEAN, DEVIATION, np.float16, PACKED8)
    (ours,) = outcome(call)
    expected = np.zeros((2, *size, 8), np.float16)
    expected[..., :3] = reference(images, size, MEAN, DEVIATION, np.float16).transpose(0, 2, 3, 1)
    assert same_bits(ours, expected)


def test_more_views_than_a_grid_has_rows(backend: Backend) -> None:
    if SANITIZED:
        pytest.skip("takes long under sanitizers")
    images = np.random.default_rng(2).integers(0, 256, (65_600, 1, 1, 3), dtype=np.uint8)
    (ours,) = outcome(prepare_images(backend, images, (1, 1), MEAN, DEVIATION, np.float16))
    assert same_bits(ours, reference(images, (1, 1), MEAN, DEVIATION, np.float16))


def test_refused_arguments_write_nothing(backend: Backend) -> None:
    images = np.zeros((1, 4, 6, 3), np.uint8)
    for dtype, layout in ((np.float32, PACKED8), (np.float16, 2), (np.float16, -1)):
        call = prepare_images(backend, images, (2, 3), MEAN, DEVIATION, dtype, layout)
        with pytest.raises(AssertionError, match="status 2"):
            call.run()
        assert (call.results()[0].view(np.uint8) == 0xCD).all()
    for deviation in ([0, 1, 1], [-1, 1, 1], [np.nan, 1, 1]):
        call = prepare_images(backend, images, (2, 3), MEAN, np.array(deviation, np.float32), np.float32)
        with pytest.raises(AssertionError, match="status 2"):
            call.run()
        assert (call.results()[0].view(np.uint8) == 0xCD).all()
