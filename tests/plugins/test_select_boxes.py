"""Selection of boxes: C against numpy. By hand it is tested in test_kernels_nms.py."""

import numpy as np
import pytest
from clouds import exact
from hypothesis import given
from hypothesis import strategies as st

from vexkd.plugins.postprocess import select_boxes
from vexkd.plugins.reference.select_boxes import select_boxes as reference

RADII = st.lists(st.sampled_from([0.35, 0.8, 2.0, 3.0, 0.0, -1.0, np.nan, np.inf]), min_size=1, max_size=6)


@exact
@given(st.integers(0, 80), RADII, st.booleans(), st.sampled_from([0.3, 0.0, -np.inf, 1e-42, 2.0, np.nan]),
       st.integers(0, 2**32 - 1))  # fmt: skip
def test_the_same_indices_as_the_reference(
    count: int, radii: list[float], broken: bool, threshold: float, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    boxes = rng.normal(0, 3, (count, 9)).astype(np.float32)
    boxes[:, :2] = np.round(boxes[:, :2] * 4) / 4
    scores = np.round(rng.random(count), 1).astype(np.float32)
    labels = rng.integers(0, len(radii), count).astype(np.int32)
    groups = rng.integers(0, 3, len(radii)).tolist()
    if broken:
        boxes[rng.random((count, 9)) < 0.05] = rng.choice([np.nan, np.inf, 3e38])
        scores[rng.random(count) < 0.2] = rng.choice([np.nan, np.inf, -np.inf, 0.0, 1e-42])
    with np.errstate(invalid="ignore", over="ignore"):
        expected = reference(boxes, scores, labels, threshold, groups, radii)
    selected = select_boxes(boxes, scores, labels, threshold, groups, radii)
    assert selected.dtype == np.int64 and selected.tolist() == expected.tolist()


@pytest.mark.parametrize("dtype", [np.float16, np.float64])
def test_other_dtypes_and_strides_are_taken(dtype: type) -> None:
    rng = np.random.default_rng(0)
    boxes, scores = rng.normal(0, 3, (60, 4)).astype(dtype), rng.random(60).astype(dtype)
    labels = rng.integers(0, 3, 120)[::2]
    wide = np.zeros((60, 9), np.float32)
    wide[:, :4] = boxes
    expected = reference(wide, scores.astype(np.float32), labels.astype(np.int32), 0.1, (0, 0, 1), (1.0, 2.0, 1.0))
    assert select_boxes(boxes, scores, labels, 0.1, (0, 0, 1), (1.0, 2.0, 1.0)).tolist() == expected.tolist()
