"""Function bodies of the operators, run by ONNX Runtime on two threads, against the numpy reference."""

from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper
from onnx_nodes import Outputs, node_model

from vexkd.engines.onnx_session import OnnxRuntime
from vexkd.export import operators
from vexkd.plugins.reference.bev_pool import bev_pool as reference_bev_pool
from vexkd.plugins.reference.frustum import frustum_index as reference_frustum_index
from vexkd.plugins.reference.images import prepare_images as reference_prepare_images
from vexkd.plugins.reference.pillar_max import pillar_max as reference_pillar_max
from vexkd.plugins.reference.voxelize import voxelize as reference_voxelize

RANGE = (-4.0, -2.0, -1.0, 4.0, 6.0, 3.0)
CELL = (0.5, 1.0)
HEIGHT, WIDTH = 8, 16
MEAN, DEVIATION = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)


def run_node(name: str, inputs: dict[str, NDArray[Any]], outputs: Outputs, **attributes: Any) -> list[NDArray[Any]]:
    model = node_model(name, inputs, outputs, **attributes)
    onnx.checker.check_model(model, full_check=True)
    found = OnnxRuntime(model, "cpu", threads=2, operators="bodies").run(inputs)
    return [found[name] for name in outputs]


def voxelize(points: NDArray[np.float32], count: int, cell: tuple[float, float] = CELL) -> list[NDArray[Any]]:
    rows = len(points)
    outputs: Outputs = {"features": (TensorProto.FLOAT, [rows, 11]), "cells": (TensorProto.INT32, [rows])}
    inputs = {"points": points, "count": np.array([count], np.int32)}
    return run_node("Voxelize", inputs, outputs, range=list(RANGE), cell=list(cell))


def cloud(rows: int, seed: int = 0) -> NDArray[np.float32]:
    return np.random.default_rng(seed).uniform(-5, 7, (rows, 5)).astype(np.float32)


@pytest.mark.parametrize("cell", [CELL, (1.0, 0.5), (0.8, 0.32), (0.1, 0.2)])
@pytest.mark.parametrize(("rows", "count"), [(3000, 3000), (3000, 1700), (500, 0), (500, -3), (500, 900), (1, 1)])
def test_voxelize_is_the_reference_to_the_bit(rows: int, count: int, cell: tuple[float, float]) -> None:
    points = cloud(rows)
    features, cells = voxelize(points, count, cell)
    expected = reference_voxelize(points, np.array([count], np.int32), RANGE, cell)
    np.testing.assert_array_equal(cells, expected[1])
    np.testing.assert_array_equal(features, expected[0])


def test_voxelize_drops_what_is_not_finite_or_out_of_range() -> None:
    points = np.tile(np.array([0.3, 0.3, 0.0, 0.5, 0.1], np.float32), (12, 1))
    for column in range(5):
        points[column, column] = np.nan
    points[5, 0], points[6, 4] = np.inf, -np.inf
    points[7, 0], points[8, 1], points[9, 2] = 4.0, -2.0001, 3.0
    points[10, :3] = [-4.0, -2.0, -1.0]
    features, cells = voxelize(points, 12)
    assert cells.tolist() == [-1] * 10 + [0, 2 * WIDTH + 8]
    assert not features[:10].any()
    np.testing.assert_array_equal(features, reference_voxelize(points, np.array([12], np.int32), RANGE, CELL)[0])


def test_voxelize_does_not_depend_on_the_order_of_the_points() -> None:
    points = cloud(4000)
    order = np.random.default_rng(1).permutation(len(points))
    features, _ = voxelize(points, len(points))
    shuffled, _ = voxelize(points[order], len(points))
    np.testing.assert_array_equal(shuffled, features[order])


def pillar_max(features: NDArray[Any], cells: NDArray[np.int32]) -> NDArray[Any]:
    kind = helper.np_dtype_to_tensor_dtype(features.dtype)
    outputs: Outputs = {"bev": (kind, [1, features.shape[1], HEIGHT, WIDTH])}
    (bev,) = run_node("PillarMax", {"features": features, "cells": cells}, outputs, height=HEIGHT, width=WIDTH)
    return bev


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
@pytest.mark.parametrize(("rows", "channels"), [(40_000, 16), (7, 3), (1, 1)])
def test_pillar_max_is_the_reference(rows: int, channels: int, dtype: type[np.generic]) -> None:
    rng = np.random.default_rng(rows)
    features = (rng.normal(size=(rows, channels)) - 1).astype(dtype)
    features[rng.random(features.shape) < 0.01] = np.nan
    cells = rng.integers(-1, HEIGHT * WIDTH, rows).astype(np.int32)
    bev = pillar_max(features, cells)
    assert bev.dtype == dtype
    np.testing.assert_array_equal(bev, reference_pillar_max(features, cells, 1, HEIGHT, WIDTH))


def test_pillar_max_of_empty_and_not_a_number_cells_is_zero() -> None:
    features = np.array([[-2.0, np.nan], [-3.0, np.nan], [5.0, 5.0]], np.float32)
    bev = pillar_max(features, np.array([9, 9, -1], np.int32))
    expected = np.zeros((1, 2, HEIGHT, WIDTH), np.float32)
    expected[0, 0].flat[9] = -2.0
    np.testing.assert_array_equal(bev, expected)


def frustum(points: int, listed: int, seed: int) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    rng = np.random.default_rng(seed)
    cells = np.sort(rng.integers(0, HEIGHT * WIDTH, listed))
    order = np.full(points, -1, np.int32)
    order[:listed] = rng.permutation(points)[:listed]
    starts = np.searchsorted(cells, np.arange(HEIGHT * WIDTH + 1)).astype(np.int32)
    return order, starts


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
@pytest.mark.parametrize("share", [0.0, 0.6, 1.0])
def test_bev_pool_is_the_reference(share: float, dtype: type[np.generic]) -> None:
    rng = np.random.default_rng(0)
    depth = rng.random((3, 20, 12, 22)).astype(dtype)
    context = rng.normal(size=(3, 5, 12, 22)).astype(dtype)
    points, starts = frustum(depth.size, int(share * depth.size), seed=1)
    inputs = {"depth": depth, "context": context, "points": points, "starts": starts}
    kind = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
    outputs: Outputs = {"bev": (kind, [1, 5, HEIGHT, WIDTH])}
    (bev,) = run_node("BevPool", inputs, outputs, height=HEIGHT, width=WIDTH)
    expected = reference_bev_pool(depth, context, points, starts, 1, HEIGHT, WIDTH)
    assert bev.dtype == dtype
    tolerance = 1e-5 if dtype == np.float32 else 2**-10
    np.testing.assert_allclose(bev, expected, rtol=tolerance, atol=1e-5)


def check_frustum_index(
    rays: NDArray[np.float32],
    origins: NDArray[np.float32],
    depths: NDArray[np.float32],
    feature_size: tuple[int, int],
    cell: tuple[float, float],
) -> None:
    """Points and starts have the bits of the reference."""
    points = len(rays) * len(depths) * feature_size[0] * feature_size[1]
    expected = reference_frustum_index(rays, origins, depths, feature_size, 4, RANGE, cell)
    outputs: Outputs = {
        "points": (TensorProto.INT32, [points]),
        "starts": (TensorProto.INT32, [len(expected[1])]),
    }
    found = run_node(
        "FrustumIndex",
        {"rays": rays, "origins": origins},
        outputs,
        depths=depths.tolist(),
        feature_height=feature_size[0],
        feature_width=feature_size[1],
        stride=4,
        range=list(RANGE),
        cell=list(cell),
    )
    for one, other in zip(found, expected, strict=True):
        assert one.dtype == other.dtype and one.shape == other.shape
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("cell", [CELL, (0.8, 0.32), (0.1, 0.2)])
@pytest.mark.parametrize(("views", "feature_size"), [(1, (1, 1)), (3, (5, 9)), (6, (16, 44))])
def test_frustum_index_is_the_reference_to_the_bit(
    views: int, feature_size: tuple[int, int], cell: tuple[float, float]
) -> None:
    rng = np.random.default_rng(views)
    rays = (rng.normal(size=(views, 3, 3)) * [0.02, 0.02, 0.5]).astype(np.float32)
    origins = rng.normal(size=(views, 3)).astype(np.float32)
    check_frustum_index(rays, origins, np.arange(0.1, 6, 0.3, np.float32), feature_size, cell)


def test_frustum_index_drops_what_is_not_finite_and_keeps_the_order_in_a_crowded_cell() -> None:
    rays = np.zeros((7, 3, 3), np.float32)
    origins = np.tile(np.array([0.3, 0.3, 0.0], np.float32), (7, 1))
    rays[0, 0, 0], rays[1, 2, 2], rays[2, 1, 1] = np.nan, np.inf, -np.inf
    origins[3, 0], origins[4, 2] = np.inf, np.nan
    check_frustum_index(rays, origins, np.array([0.0, 1.0, 2.5], np.float32), (3, 4), CELL)


def prepare_images(images: NDArray[np.uint8], size: tuple[int, int], dtype: type[np.generic]) -> NDArray[Any]:
    kind = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
    outputs: Outputs = {"prepared": (kind, [len(images), 3, *size])}
    constants = {"mean": list(MEAN), "deviation": list(DEVIATION)}
    inputs = {"images": images}
    (prepared,) = run_node("PrepareImages", inputs, outputs, height=size[0], width=size[1], dtype=kind, **constants)
    return prepared


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
@pytest.mark.parametrize(
    ("views", "raw", "size"),
    [
        (2, (90, 160), (26, 70)),  # smaller, cropped on top
        (1, (45, 81), (64, 50)),  # larger, cropped on both sides by an odd number of pixels
        (2, (30, 30), (30, 30)),
        (1, (5, 4), (4, 2)),  # resized to 4 x 3.2 columns
        (1, (1, 1), (3, 2)),
        (0, (9, 9), (3, 4)),
    ],
)
def test_prepare_images_is_the_reference_to_the_bit(
    views: int, raw: tuple[int, int], size: tuple[int, int], dtype: type[np.generic]
) -> None:
    images = np.random.default_rng(views).integers(0, 256, (views, *raw, 3), dtype=np.uint8)
    prepared = prepare_images(images, size, dtype)
    expected = reference_prepare_images(images, size, MEAN, DEVIATION, dtype)  # type: ignore[arg-type]
    assert prepared.dtype == dtype
    np.testing.assert_array_equal(prepared, expected)


def test_prepare_images_rounds_every_size_as_the_reference_does() -> None:
    rng = np.random.default_rng(0)
    for raw, size in rng.integers(1, 50, (60, 2, 2)).tolist():
        images = rng.integers(0, 256, (1, *raw, 3), dtype=np.uint8)
        expected = reference_prepare_images(images, (size[0], size[1]), MEAN, DEVIATION)
        np.testing.assert_array_equal(prepare_images(images, (size[0], size[1]), np.float32), expected)


def test_prepare_images_widens_nothing_of_the_images_own_size() -> None:
    """Only what was gathered for the result is cast from uint8."""
    (body,) = (body for body in operators.functions() if body.name == "PrepareImages")
    made_by = {output: node for node in body.node for output in node.output}
    readers = {node.op_type for node in body.node if "images" in node.input}
    assert readers == {"Shape", "Gather"}
    for node in body.node:
        sources = [made_by[name] for name in node.input if name in made_by]
        if any(source.op_type == "Gather" and source.input[0] == "images" for source in sources):
            assert node.op_type == "Gather"  # rows of the images: their columns are gathered before anything else


def test_bodies_carry_the_attributes_of_their_nodes() -> None:
    attributes = {body.name: set(body.attribute) for body in operators.functions()}
    plugin = {"plugin_namespace", "plugin_version"}
    assert attributes["Voxelize"] == {"range", "cell"} | plugin
    assert attributes["FrustumIndex"] == {
        *("depths", "feature_height", "feature_width", "stride", "range", "cell"),
        *plugin,
    }
    assert attributes["PillarMax"] == attributes["BevPool"] == {"height", "width"} | plugin
    assert attributes["PrepareImages"] == {"height", "width", "mean", "deviation", "dtype"} | plugin


@pytest.mark.parametrize("kind", [TensorProto.FLOAT, TensorProto.FLOAT16])
def test_the_type_and_shape_of_prepared_images_are_inferred(kind: int) -> None:
    operators.register_schemas()
    constants = {"mean": list(MEAN), "deviation": list(DEVIATION)}
    node = helper.make_node(
        "PrepareImages", ["images"], ["prepared"], domain="vexkd", height=4, width=5, dtype=kind, **constants
    )
    images = helper.make_tensor_value_info("images", TensorProto.UINT8, ["views", 90, 160, 3])
    graph = helper.make_graph([node], "g", [images], [onnx.ValueInfoProto(name="prepared")])
    imports = [helper.make_opsetid("", operators.OPSET), helper.make_opsetid("vexkd", 1)]
    inferred = onnx.shape_inference.infer_shapes(helper.make_model(graph, opset_imports=imports), strict_mode=True)
    tensor = inferred.graph.output[0].type.tensor_type
    assert tensor.elem_type == kind
    assert [dim.dim_param or dim.dim_value for dim in tensor.shape.dim] == ["views", 3, 4, 5]
