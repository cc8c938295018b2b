"""The operators as ONNX Runtime runs them: the bits of the kernels, on the session's threads, and clear refusals."""

import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper
from onnx_nodes import Outputs, node_model

from vexkd.engines.onnx_session import THREADS_ENTRY, OnnxRuntime
from vexkd.plugins.bev_pool import bev_pool
from vexkd.plugins.errors import UserError
from vexkd.plugins.frustum import frustum_index
from vexkd.plugins.images import prepare_images
from vexkd.plugins.library import find_library
from vexkd.plugins.pillar_max import pillar_max
from vexkd.plugins.voxelize import voxelize

RANGE = (-4.0, -2.0, -1.0, 4.0, 5.0, 3.0)
CELL = (0.4, 0.7)
HEIGHT, WIDTH = 10, 20
MAP = {"height": HEIGHT, "width": WIDTH}
GRID = {"range": list(RANGE), "cell": list(CELL)}
MEAN, DEVIATION = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)
THREADS = (1, 2, 5)
DTYPES = (np.float32, np.float16)

FRUSTUM = {"depths": [0.5, 1.0, 2.5, 4.0], "feature_height": 5, "feature_width": 9, "stride": 4, **GRID}

Arrays = dict[str, NDArray[Any]]
VOXELS: Outputs = {"features": (TensorProto.FLOAT, None), "cells": (TensorProto.INT32, None)}


INDEX: Outputs = {"points": (TensorProto.INT32, None), "starts": (TensorProto.INT32, None)}


def bev(dtype: Any) -> Outputs:
    return {"bev": (helper.np_dtype_to_tensor_dtype(np.dtype(dtype)), None)}


def outputs_of(name: str, inputs: Arrays, attributes: dict[str, Any]) -> Outputs:
    if name == "PrepareImages":
        # A type that the operator has not is the graph's own mistake, and told before the attribute is looked at.
        dtype = attributes.get("dtype")
        return {"prepared": (TensorProto.FLOAT16 if dtype == TensorProto.FLOAT16 else TensorProto.FLOAT, None)}
    known = {"Voxelize": VOXELS, "FrustumIndex": INDEX}
    return known.get(name) or bev(next(iter(inputs.values())).dtype)


def native(name: str, inputs: Arrays, threads: int = 1, **attributes: Any) -> OnnxRuntime:
    return OnnxRuntime(node_model(name, inputs, outputs_of(name, inputs, attributes), **attributes), "cpu", threads)


def registered_session(model: bytes) -> onnxruntime.InferenceSession:
    """A session as a program without our Python makes it."""
    options = onnxruntime.SessionOptions()
    options.register_custom_ops_library(str(find_library()))
    return onnxruntime.InferenceSession(model, options)


def assert_same_bits(found: Arrays, expected: Arrays) -> None:
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        assert (found[name].dtype, found[name].shape) == (value.dtype, value.shape)
        assert found[name].tobytes() == value.tobytes(), name


def cloud(rows: int, seed: int = 0) -> NDArray[np.float32]:
    rng = np.random.default_rng(seed)
    points = rng.uniform(-6, 7, (rows, 5)).astype(np.float32)
    points[rng.random(points.shape) < 0.01] = np.nan
    points[rng.random(points.shape) < 0.01] = np.inf
    return points


def voxel_case(rows: int, count: int) -> tuple[Arrays, Arrays]:
    points, counts = cloud(rows), np.array([count], np.int32)
    features, cells = voxelize(points, counts, RANGE, CELL)
    return {"points": points, "count": counts}, {"features": features, "cells": cells}


def pillar_case(rows: int, channels: int, dtype: Any) -> tuple[Arrays, Arrays]:
    rng = np.random.default_rng(rows)
    features = (rng.normal(size=(rows, channels)) - 1).astype(dtype)
    features[rng.random(features.shape) < 0.02] = np.nan
    cells = rng.integers(-3, HEIGHT * WIDTH + 3, rows).astype(np.int32)
    cells[rng.random(rows) < 0.02] = np.iinfo(np.int32).min
    cells[rng.random(rows) < 0.02] = np.iinfo(np.int32).max
    return {"features": features, "cells": cells}, {"bev": pillar_max(features, cells, 1, HEIGHT, WIDTH)}


def pool_case(listed: int, channels: int, dtype: Any, hostile: bool) -> tuple[Arrays, Arrays]:
    rng = np.random.default_rng(listed)
    depth = rng.random((3, 7, 5, 9)).astype(dtype)
    context = rng.normal(size=(3, channels, 5, 9)).astype(dtype)
    if hostile:
        points = rng.integers(-(2**31), 2**31, listed).astype(np.int32)
        starts = rng.integers(-(2**31), 2**31, HEIGHT * WIDTH + 1).astype(np.int32)
        starts[::2] = rng.integers(0, max(listed, 1), len(starts[::2]))
    else:
        points = rng.integers(0, depth.size, listed).astype(np.int32)
        starts = np.sort(rng.integers(0, listed + 1, HEIGHT * WIDTH + 1)).astype(np.int32)
    inputs = {"depth": depth, "context": context, "points": points, "starts": starts}
    return inputs, {"bev": bev_pool(depth, context, points, starts, 1, HEIGHT, WIDTH)}


def preparation(dtype: Any, size: tuple[int, int] = (HEIGHT, WIDTH)) -> dict[str, Any]:
    kind = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
    return {
        **{"height": size[0], "width": size[1], "dtype": kind},
        **{"mean": list(MEAN), "deviation": list(DEVIATION)},
    }


def image_case(
    views: int, raw: tuple[int, int], dtype: Any, size: tuple[int, int] = (HEIGHT, WIDTH)
) -> tuple[Arrays, Arrays]:
    images = np.random.default_rng(views).integers(0, 256, (views, *raw, 3), dtype=np.uint8)
    return {"images": images}, {"prepared": prepare_images(images, size, MEAN, DEVIATION, dtype)}


def frustum_case(views: int, seed: int = 0) -> tuple[Arrays, Arrays]:
    rng = np.random.default_rng(seed)
    rays = (rng.normal(size=(views, 3, 3)) * [0.02, 0.02, 0.5]).astype(np.float32)
    origins = rng.normal(size=(views, 3)).astype(np.float32)
    rays[rng.random(rays.shape) < 0.05] = np.nan
    depths = np.array(FRUSTUM["depths"], np.float32)
    points, starts = frustum_index(rays, origins, depths, (5, 9), 4, RANGE, CELL)
    return {"rays": rays, "origins": origins}, {"points": points, "starts": starts}


@pytest.mark.parametrize("threads", THREADS)
@pytest.mark.parametrize(
    ("rows", "count"), [(30_011, 30_011), (30_011, 7001), (501, -3), (501, 10_000), (1, 1), (1, 0), (0, 0), (0, 5)]
)
def test_voxelize_has_the_bits_of_the_kernel(rows: int, count: int, threads: int) -> None:
    inputs, expected = voxel_case(rows, count)
    assert_same_bits(native("Voxelize", inputs, threads, **GRID).run(inputs), expected)


@pytest.mark.parametrize("threads", THREADS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("rows", "channels"), [(20_003, 33), (997, 1), (1, 130), (0, 5), (5, 0), (0, 0)])
def test_pillar_max_has_the_bits_of_the_kernel(rows: int, channels: int, dtype: Any, threads: int) -> None:
    inputs, expected = pillar_case(rows, channels, dtype)
    assert_same_bits(native("PillarMax", inputs, threads, **MAP).run(inputs), expected)


@pytest.mark.parametrize("threads", THREADS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("hostile", [False, True])
@pytest.mark.parametrize(("listed", "channels"), [(945, 17), (300, 80), (1, 1), (0, 3), (10, 0)])
def test_bev_pool_has_the_bits_of_the_kernel(
    listed: int, channels: int, hostile: bool, dtype: Any, threads: int
) -> None:
    inputs, expected = pool_case(listed, channels, dtype, hostile)
    assert_same_bits(native("BevPool", inputs, threads, **MAP).run(inputs), expected)


@pytest.mark.parametrize("threads", THREADS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    ("views", "raw", "size"),
    [(3, (45, 80), (26, 70)), (1, (7, 5), (33, 601)), (2, (1, 1), (1, 1)), (0, (9, 9), (3, 4))],
)
def test_prepare_images_has_the_bits_of_the_kernel(
    views: int, raw: tuple[int, int], size: tuple[int, int], dtype: Any, threads: int
) -> None:
    inputs, expected = image_case(views, raw, dtype, size)
    assert_same_bits(native("PrepareImages", inputs, threads, **preparation(dtype, size)).run(inputs), expected)


@pytest.mark.parametrize("threads", THREADS)
@pytest.mark.parametrize("views", [1, 6])
def test_frustum_index_has_the_bits_of_the_kernel(views: int, threads: int) -> None:
    inputs, expected = frustum_case(views)
    assert_same_bits(native("FrustumIndex", inputs, threads, **FRUSTUM).run(inputs), expected)


def test_frustum_index_keeps_up_with_calibration_that_stays_and_changes() -> None:
    """From its second call on, an index is kept; another number of cameras or one other bit makes it anew."""
    cases = [frustum_case(views, seed) for views, seed in ((3, 0), (3, 1), (2, 0))]
    turned = {name: value.copy() for name, value in cases[0][0].items()}
    turned["origins"][2, 0] += 0.5
    depths = np.array(FRUSTUM["depths"], np.float32)
    index = frustum_index(turned["rays"], turned["origins"], depths, (5, 9), 4, RANGE, CELL)
    cases.append((turned, dict(zip(INDEX, index, strict=True))))
    runtime = native("FrustumIndex", cases[0][0], threads=2, dynamic=True, **FRUSTUM)
    for case in (0, 0, 0, 0, 1, 0, 1, 1, 1, 3, 0, 0, 0, 3, 3, 3, 2, 2, 2, 0):
        inputs, expected = cases[case]
        assert_same_bits(runtime.run(inputs), expected)


def test_frustum_index_is_kept_for_several_threads_at_once() -> None:
    cases = [frustum_case(3, seed) for seed in (0, 0, 0, 1)]
    runtime = native("FrustumIndex", cases[0][0], threads=2, **FRUSTUM)
    with ThreadPoolExecutor(5) as pool:
        jobs = [(pool.submit(runtime.run, inputs), expected) for inputs, expected in cases * 40]
        for job, expected in jobs:
            assert_same_bits(job.result(), expected)


CASES: dict[str, tuple[Callable[[], tuple[Arrays, Arrays]], dict[str, Any]]] = {
    "Voxelize": (lambda: voxel_case(501, 400), GRID),
    "PillarMax": (lambda: pillar_case(501, 7, np.float16), MAP),
    "BevPool": (lambda: pool_case(501, 7, np.float16, False), MAP),
    "PrepareImages": (lambda: image_case(2, (31, 40), np.float16), preparation(np.float16)),
    "FrustumIndex": (lambda: frustum_case(3), FRUSTUM),
}


@pytest.mark.parametrize("name", CASES)
def test_the_node_is_there_if_it_runs_natively_and_gone_if_its_body_runs(name: str, model_as_run: Path) -> None:
    make, attributes = CASES[name]
    inputs, _ = make()
    model = node_model(name, inputs, outputs_of(name, inputs, attributes), **attributes)
    assert OnnxRuntime(model, "cpu", 1).name.endswith("(CPU), native operators")
    assert [(node.domain, node.op_type) for node in onnx.load(model_as_run).graph.node] == [("vexkd", name)]
    assert OnnxRuntime(model, "cpu", 1, "bodies").name.endswith("(CPU), function bodies")
    assert not any(node.domain == "vexkd" for node in onnx.load(model_as_run).graph.node)


@pytest.mark.parametrize("name", CASES)
def test_the_bodies_agree(name: str) -> None:
    make, attributes = CASES[name]
    inputs, expected = make()
    model = node_model(name, inputs, outputs_of(name, inputs, attributes), **attributes)
    found = OnnxRuntime(model, "cpu", 1, "bodies").run(inputs)
    for key, value in expected.items():
        np.testing.assert_allclose(found[key].astype(np.float32), value.astype(np.float32), rtol=2**-10, atol=1e-5)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("Voxelize", {"features": ["points_0", 11], "cells": ["points_0"]}),
        ("PillarMax", {"bev": [1, "features_1", HEIGHT, WIDTH]}),
        ("BevPool", {"bev": [1, "context_1", HEIGHT, WIDTH]}),
        ("PrepareImages", {"prepared": ["images_0", 3, HEIGHT, WIDTH]}),
        ("FrustumIndex", {"points": [], "starts": [HEIGHT * WIDTH + 1]}),  # a product of rays_0 has no symbol
    ],
)
@pytest.mark.parametrize("dynamic", [False, True])
def test_shapes_are_known_before_the_model_runs(name: str, expected: Any, dynamic: bool) -> None:
    make, attributes = CASES[name]
    inputs, outputs = make()
    model = node_model(name, inputs, outputs_of(name, inputs, attributes), dynamic, **attributes)
    for info in registered_session(model).get_outputs():
        assert info.shape == (expected[info.name] if dynamic else list(outputs[info.name].shape))


def test_one_session_runs_on_several_threads_at_once() -> None:
    cases = [voxel_case(9000, count) for count in (9000, 8000, 4097, 1, 0)]
    runtime = native("Voxelize", cases[0][0], threads=2, **GRID)
    with ThreadPoolExecutor(5) as pool:
        jobs = [(pool.submit(runtime.run, inputs), expected) for inputs, expected in cases * 20]
        for job, expected in jobs:
            assert_same_bits(job.result(), expected)


ALONE = """
import os, sys
import numpy as np
from vexkd.engines.onnx_session import OnnxRuntime

arrays = np.load(sys.argv[2])
runtime = OnnxRuntime(open(sys.argv[1], "rb").read(), "cpu", 3)
before = len(os.listdir("/proc/self/task"))
for _ in range(20):
    runtime.run(dict(arrays))
print(len(os.listdir("/proc/self/task")) - before)
"""


def test_the_sessions_own_threads_do_the_work(tmp_path: Path) -> None:
    inputs, _ = pillar_case(20_003, 33, np.float32)
    (tmp_path / "model.onnx").write_bytes(node_model("PillarMax", inputs, bev(np.float32), **MAP))
    np.savez(tmp_path / "inputs.npz", **inputs)  # type: ignore[arg-type]
    command = [sys.executable, "-c", ALONE, str(tmp_path / "model.onnx"), str(tmp_path / "inputs.npz")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["0"], "the kernels' own pool was started"


def test_several_sessions_run_at_once() -> None:
    jobs = []
    with ThreadPoolExecutor(6) as pool:
        for repeat in range(12):
            for name, (make, attributes) in CASES.items():
                inputs, expected = make()
                runtime = native(name, inputs, 1 + repeat % 3, **attributes)
                jobs.append((pool.submit(runtime.run, inputs), expected))
        for job, expected in jobs:
            assert_same_bits(job.result(), expected)


@pytest.mark.parametrize(
    ("name", "attributes", "message"),
    [
        ("Voxelize", {"range": [1.0, 2.0], "cell": list(CELL)}, "attribute range must be 6 floats, got 2"),
        ("Voxelize", {"range": list(RANGE)}, "attribute cell must be 2 floats, it is missing or no floats"),
        ("Voxelize", {"range": [0.0] * 6, "cell": list(CELL)}, "range and cell are no grid"),
        ("FrustumIndex", {**FRUSTUM, "cell": [-1.0, 1.0]}, "range and cell are no grid"),
        ("FrustumIndex", {**FRUSTUM, "stride": 0}, "attribute stride must be an integer from 1 .*, got 0"),
        ("FrustumIndex", {**FRUSTUM, "depths": [1]}, "attribute depths must be one float or more, it is missing"),
        ("FrustumIndex", GRID, "attribute depths must be one float or more, it is missing"),
        ("PillarMax", {"height": 3}, "attribute width must be an integer from 1 to 2147483647, it is missing"),
        ("PillarMax", {"height": 0, "width": 3}, "attribute height must be an integer from 1 .*, got 0"),
        ("BevPool", {"height": 3, "width": -1}, "attribute width must be an integer from 1 .*, got -1"),
        ("BevPool", {"height": 2**33, "width": 1}, "got 8589934592"),
        ("BevPool", {"height": 2**16, "width": 2**16}, "fewer than 2.31 cells, got height 65536 and width 65536"),
        ("BevPool", {"height": [3], "width": 3}, "attribute height .*no integer"),
        *(
            ("PrepareImages", preparation(np.float32) | changed, message)
            for changed, message in (
                ({"height": 0}, "attribute height must be an integer from 1 .*, got 0"),
                ({"dtype": TensorProto.DOUBLE}, r"attribute dtype must be 1 \(FLOAT\) or 10 \(FLOAT16\), got 11"),
                ({"dtype": -1}, "attribute dtype must be an integer from 1"),
                ({"mean": [1.0]}, "attribute mean must be 3 floats, got 1"),
                ({"deviation": [1.0, 0.0, 1.0]}, "deviation positive, got 116.2.* and 0.0* of channel 1"),
                ({"deviation": [1.0, 1.0, float("nan")]}, "deviation positive, got .* and nan of channel 2"),
                ({"mean": [float("inf"), 0.0, 0.0]}, "mean must be finite .*, got inf"),
            )
        ),
    ],
)
def test_wrong_attributes_are_refused(name: str, attributes: dict[str, Any], message: str) -> None:
    inputs, _ = CASES[name][0]()
    with pytest.raises(UserError, match=f"vexkd {name}: .*{message}"):
        native(name, inputs, **attributes)


@pytest.mark.parametrize(
    ("name", "changed", "message"),
    [
        ("Voxelize", {"points": np.zeros((7, 4), np.float32)}, r"got float32 \(7, 4\), int32 \(1\)"),
        ("Voxelize", {"count": np.zeros(2, np.int32)}, r"points \(N, 5\) and count \(1\), got float32 .*\(2\)"),
        ("FrustumIndex", {"rays": np.zeros((3, 4, 3), np.float32)}, r"origins \(V, 3\), got float32 \(3, 4, 3\), "),
        ("FrustumIndex", {"origins": np.zeros((2, 3), np.float32)}, r"float32 \(3, 3, 3\), float32 \(2, 3\)"),
        ("PillarMax", {"cells": np.zeros(500, np.int32)}, r"features \(N, C\) and cells \(N\), got float16 .*\(500\)"),
        ("BevPool", {"starts": np.zeros(200, np.int32)}, r"starts \(height \* width \+ 1\), got .*int32 \(200\)"),
        ("BevPool", {"context": np.zeros((2, 7, 5, 9), np.float16)}, r"float16 \(2, 7, 5, 9\)"),
        ("BevPool", {"context": np.zeros((3, 7, 9, 5), np.float16)}, r"float16 \(3, 7, 9, 5\)"),
        (
            "PrepareImages",
            {"images": np.zeros((2, 3, 31, 40), np.uint8)},
            r"images \(V, H, W, 3\), got uint8 .*31, 40\)",
        ),
    ],
)
def test_inputs_that_do_not_fit_are_refused(name: str, changed: Arrays, message: str) -> None:
    make, attributes = CASES[name]
    inputs, expected = make()
    runtime = native(name, inputs, dynamic=True, **attributes)
    with pytest.raises(Exception, match=f"vexkd {name}: takes .*?{message}"):
        runtime.run(inputs | changed)
    assert_same_bits(runtime.run(inputs), expected)


def test_types_that_no_kernel_has_are_refused() -> None:
    features, cells = np.zeros((3, 2)), np.zeros(3, np.int32)
    with pytest.raises(UserError, match=r"tensor\(double\)"):
        native("PillarMax", {"features": features, "cells": cells}, **MAP)
    inputs, _ = pool_case(10, 3, np.float32, hostile=False)
    with pytest.raises(UserError, match="no kernel def matches node inputs for Op: BevPool"):
        native("BevPool", inputs | {"context": inputs["context"].astype(np.float16)}, **MAP)


@pytest.mark.parametrize("raw", [(0, 40), (31, 0), (2**15 + 1, 1)])
def test_images_of_no_size_are_refused(raw: tuple[int, int]) -> None:
    inputs, _ = CASES["PrepareImages"][0]()
    runtime = native("PrepareImages", inputs, dynamic=True, **preparation(np.float16))
    with pytest.raises(
        Exception, match=r"vexkd PrepareImages: (a size, grid, dtype or layout is invalid|an index would not fit)"
    ):
        runtime.run({"images": np.zeros((1, *raw, 3), np.uint8)})


def test_the_type_of_prepared_images_is_the_graphs() -> None:
    inputs, _ = image_case(1, (31, 40), np.float32)
    model = node_model("PrepareImages", inputs, {"prepared": (TensorProto.FLOAT16, None)}, **preparation(np.float32))
    with pytest.raises(UserError, match=r"float16.* does not match expected type \(tensor\(float\)\)"):
        OnnxRuntime(model, "cpu", 1)


@pytest.mark.parametrize("entry", ["many", "-1", "2 "])
def test_a_number_of_threads_that_is_none_is_refused(entry: str) -> None:
    options = onnxruntime.SessionOptions()
    options.add_session_config_entry(THREADS_ENTRY, entry)
    with pytest.raises(Exception, match=f"{THREADS_ENTRY} must be a number of threads, got {entry}"):
        options.register_custom_ops_library(str(find_library()))


def test_options_without_the_number_of_threads_are_taken() -> None:
    inputs, expected = voxel_case(30_011, 30_011)
    session = registered_session(node_model("Voxelize", inputs, VOXELS, **GRID))
    assert_same_bits(dict(zip(VOXELS, session.run(None, inputs), strict=True)), expected)
