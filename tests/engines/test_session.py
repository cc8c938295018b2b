"""Sessions and pipelines on a bundle made by hand, whose boxes are its first points."""

from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from bundle_contents import content, write_bundle
from numpy.typing import NDArray
from tiny_bundles import CAPACITY, make_bundle

from vexkd.engines import onnx_session
from vexkd.engines import session as session_module
from vexkd.engines.bundle import Bundle, read_bundle
from vexkd.engines.gpu import Gpu, find_gpus
from vexkd.engines.pipeline import Pipeline
from vexkd.engines.probe import ProbeFrame
from vexkd.engines.session import Session, choose_device, why_not_here
from vexkd.plugins import library
from vexkd.plugins.errors import UserError

NO_GPU = pytest.mark.skipif(bool(find_gpus()), reason="says what happens without a GPU")


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    return make_bundle(tmp_path / "by-hand.vexkd")


def frame(points: NDArray[np.float32]) -> ProbeFrame:
    none = np.zeros((0, 4, 4))
    return ProbeFrame(points, np.zeros((0, 1, 1, 3), np.uint8), none, none)


def test_outputs_have_the_manifests_names_shapes_and_types(bundle: Bundle) -> None:
    points = np.random.default_rng(0).random((CAPACITY, 5)).astype(np.float32)
    outputs = Session(bundle, "cpu").run({"points": points, "count": np.array([CAPACITY], np.int32)})
    for tensor in bundle.manifest.outputs:
        assert outputs[tensor.name].shape == tensor.shape
        assert outputs[tensor.name].dtype == np.dtype(tensor.dtype)
    np.testing.assert_array_equal(outputs["boxes"][:, :3], points[:4, :3])


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({"points": np.zeros((CAPACITY, 5), np.float32)}, "takes count, points, got points"),
        ({"points": np.zeros((3, 5), np.float32), "count": np.zeros(1, np.int32)}, r"got float32 \[3, 5\]"),
        ({"points": np.zeros((CAPACITY, 5)), "count": np.zeros(1, np.int32)}, "got float64"),
    ],
)
def test_wrong_inputs_are_refused(bundle: Bundle, inputs: dict[str, NDArray], message: str) -> None:
    with pytest.raises(UserError, match=message):
        Session(bundle, "cpu").run(inputs)


def test_the_pipeline_selects_boxes_and_reports_overflow_and_stages(bundle: Bundle) -> None:
    points = np.zeros((CAPACITY + 7, 5), np.float32)
    points[:4, :4] = [[1, 2, 0, 0.5], [1.5, 2, 0, 0.9], [6, -3, 0, 0.31], [-6, 3, 0, 0.29]]
    result = Pipeline(bundle, "cpu")(frame(points))
    assert result.boxes is not None and result.logits is None
    # The first is within a car's radius of the second and scores less; the last is under the threshold.
    np.testing.assert_array_equal(result.boxes.boxes[:, :2], [[1.5, 2], [6, -3]])
    np.testing.assert_allclose(result.boxes.scores, [0.9, 0.31])
    assert result.dropped_points == 7
    assert list(result.seconds) == ["point padding", "engine", "post-processing"]
    everything = Pipeline(bundle, "cpu", score_threshold=0.0)(frame(points)).boxes
    assert everything is not None and len(everything.boxes) == 3
    points[3, 3] = 0.0
    peaks = Pipeline(bundle, "cpu", score_threshold=0.0)(frame(points)).boxes
    assert peaks is not None and len(peaks.boxes) == 2


@NO_GPU
def test_without_a_gpu_auto_is_the_cpu_and_the_rest_says_what_is_missing(bundle: Bundle) -> None:
    assert choose_device(bundle) == "cpu"
    assert Session(bundle).runtime == f"ONNX Runtime {onnxruntime.__version__} (CPU), native operators"
    with pytest.raises(UserError, match="needs an NVIDIA GPU"):
        Session(bundle, "tensorrt")
    with pytest.raises(UserError, match="onnxruntime-gpu"):
        Session(bundle, "cuda")


def test_a_gpu_without_an_engine_for_it_is_told_how_to_get_one(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    gpu = Gpu(0, "NVIDIA RTX", "8.9", 24_000)
    monkeypatch.setattr(session_module, "find_gpus", lambda: [gpu])
    with pytest.raises(UserError, match=r"holds engines for: none; this GPU is NVIDIA RTX \(8\.9\).*--add-target 8\.9"):
        session_module.engine_for_this_gpu(bundle)


def test_an_engine_without_gpu_code_says_exactly_that(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session_module, "find_gpus", lambda: [Gpu(0, "NVIDIA RTX", "8.9", 24_000)])
    manifest = content()
    manifest["engines"][0]["gpu_code"] = False
    bundle = read_bundle(write_bundle(tmp_path / "a.vexkd", manifest))
    (engine,) = bundle.manifest.engines
    with pytest.raises(
        UserError,
        match=r"a\.vexkd/rtx4090\.engine never runs: it was exported with --cpu-only, .* no GPU code for compute "
        r"capability 8\.9; .* make native CUDA=ON, and export the bundle again with: vexkd export runs/by-hand --fp16 "
        r"--target rtx4090 --out",
    ):
        session_module.engine_for_this_gpu(bundle)
    assert session_module.matching_engine(bundle) is None and choose_device(bundle) != "tensorrt"
    assert why_not_here(bundle, engine).startswith("never runs: exported with --cpu-only")


def has_entry(options: onnxruntime.SessionOptions) -> bool:
    try:
        return bool(options.get_session_config_entry(onnx_session.THREADS_ENTRY))
    except RuntimeError:
        return False


@pytest.mark.parametrize(
    ("device", "operators", "cuda", "expected"),
    [
        ("cpu", "native", False, "native operators"),
        ("cuda", "native", True, "native operators"),
        ("cuda", "native", False, "function bodies (the native library has no CUDA)"),
        ("cpu", "bodies", True, "function bodies"),
        ("cuda", "bodies", True, "function bodies"),
    ],
)
def test_operators_are_registered_where_the_library_can_run_them(
    device: str, operators: onnx_session.Operators, cuda: bool, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(library, "has_cuda", lambda: cuda)
    options = onnxruntime.SessionOptions()
    assert onnx_session.choose_operators(options, device, 2, operators) == expected
    assert has_entry(options) == (expected == "native operators")


def test_a_model_that_is_none_is_refused(bundle: Bundle) -> None:
    bundle.model.write_bytes(b"no model")
    with pytest.raises(UserError, match="ONNX Runtime cannot load"):
        Session(bundle, "cpu")
