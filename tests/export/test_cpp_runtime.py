"""The C++ runtime says what Python's pipeline says, to the bit, and refuses what it should."""

import shutil
import subprocess
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tiny_bundles import CAPACITY, make_bundle, make_run

from vexkd.config import DataConfig, SuppressionConfig
from vexkd.data.dataset import NuScenesDataset
from vexkd.engines.bundle import read_bundle
from vexkd.engines.native import onnxruntime_library
from vexkd.engines.native_runtime import NativePerception, RuntimeRefusal
from vexkd.engines.pipeline import Pipeline
from vexkd.engines.preprocess import model_inputs
from vexkd.engines.probe import ProbeFrame, probe_frame
from vexkd.export.export import export_run
from vexkd.models.selection import class_rules
from vexkd.plugins.library import SweepRecord, find_library, native_prefix
from vexkd.plugins.points import Sweep, accumulate_sweeps
from vexkd.plugins.reference.select_boxes import select_boxes as reference
from vexkd.training.run import load_run, save_run

NO_BUNDLE, DAMAGED, NO_BACKEND, NOT_CALIBRATED, WRONG_TASK, BAD_FRAME, BUSY = 20, 21, 23, 25, 26, 27, 28
INVALID = 2


def made_up(bundle: Path, seed: int = 0) -> ProbeFrame:
    manifest = read_bundle(bundle).manifest
    return probe_frame(manifest.grid, manifest.camera, manifest.points, seed)


def assert_same(native: NativePerception, pipeline: Pipeline, frame: ProbeFrame, **how: bool) -> None:
    expected = pipeline(frame)
    if native.info.views:
        native.calibrate(frame.intrinsics, frame.camera_to_ego)
    raw = native.frame(frame, **how)
    if expected.boxes is None:
        found = native.segment(raw)
        np.testing.assert_array_equal(found.logits.view(np.uint32), expected.logits.view(np.uint32))
    else:
        found = native.detect(raw)
        assert len(found.boxes)
        np.testing.assert_array_equal(found.boxes.view(np.uint32), expected.boxes.boxes.view(np.uint32))
        np.testing.assert_array_equal(found.scores.view(np.uint32), expected.boxes.scores.view(np.uint32))
        np.testing.assert_array_equal(found.labels, expected.boxes.labels)
    assert found.dropped_points == expected.dropped_points
    assert found.times.total >= found.times.engine > 0


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
@pytest.mark.parametrize("task", ["detection", "segmentation"])
@pytest.mark.parametrize("kind", ["lidar", "camera", "mgfm"])
def test_same_bits_as_python(kind: str, task: str, precision: str, exported) -> None:  # type: ignore[no-untyped-def]
    _, path = exported(kind, task, precision)
    native, pipeline = NativePerception(path), Pipeline(read_bundle(path), "cpu", threads=1)
    assert native.info.backend.decode().endswith("native operators")
    # Another calibration and another cloud each time; images in one block and one by one.
    for seed in range(3):
        frame = made_up(path, seed)
        fewer = replace(frame, points=frame.points[: len(frame.points) // (seed + 1)])
        assert_same(native, pipeline, fewer, one_by_one=seed % 2 == 1)
    native.close()


def test_every_suppression_gives_one_set_of_boxes_everywhere(exported, tmp_path) -> None:  # type: ignore[no-untyped-def]
    run, circles = exported("lidar", "detection", "fp32")
    config, model = load_run(run)
    kinds = ("scaled", "rotated", "circle", "scaled", "rotated", "scaled")
    suppression = tuple(SuppressionConfig(kind=kind) for kind in kinds)
    head = config.model.head.model_copy(update={"suppression": suppression, "score_threshold": 0.0})
    config = config.model_copy(update={"model": config.model.model_copy(update={"head": head})})
    save_run(tmp_path / "run", config, model.state_dict())
    path = export_run(tmp_path / "run", tmp_path / "mixed.vexkd")
    native, pipeline = NativePerception(path), Pipeline(read_bundle(path), "cpu", threads=1)
    everything = Pipeline(read_bundle(circles), "cpu", threads=1, score_threshold=0.0)
    for seed in range(3):
        frame = made_up(path, seed)
        assert_same(native, pipeline, frame)
        outputs = pipeline.session.run(model_inputs(None, pipeline.bundle.manifest.points, frame))
        kept = reference(*outputs.values(), 0.0, class_rules(head))
        found = pipeline(frame).boxes
        np.testing.assert_array_equal(found.boxes, outputs["boxes"][kept])
        assert len(found.boxes) != len(everything(frame).boxes.boxes), "the kinds matter"
    native.close()


def test_sweeps_are_accumulated_as_in_python(exported) -> None:  # type: ignore[no-untyped-def]
    _, path = exported("lidar", "detection", "fp32")
    rng = np.random.default_rng(1)
    sweeps, records = [], []
    for turn in range(3):
        points = rng.uniform(-6, 6, (150, 5)).astype(np.float32)
        points[:, 3] = rng.uniform(0, 255, 150)
        pose = np.eye(4)
        pose[:3, 3] = rng.uniform(-1, 1, 3)
        sweeps.append(Sweep(points, pose, 0.05 * turn, 255.0, 1.0))
        records.append(SweepRecord(points.ctypes.data, *points.shape, 255.0, 0.05 * turn, pose.ctypes.data, 1.0))
    cloud = accumulate_sweeps(sweeps, CAPACITY)
    frame = replace(made_up(path), points=cloud.points[: cloud.count])
    native = NativePerception(path)
    expected = Pipeline(read_bundle(path), "cpu", threads=1)(frame).boxes
    found = native.detect(native.frame(frame, records))
    np.testing.assert_array_equal(found.boxes, expected.boxes)
    native.close()


def test_no_points_many_points_and_few_boxes(exported) -> None:  # type: ignore[no-untyped-def]
    _, path = exported("lidar", "detection", "fp32")
    native, frame = NativePerception(path), made_up(path)
    whole = native.detect(native.frame(frame))
    assert_same(native, Pipeline(read_bundle(path), "cpu", threads=1), replace(frame, points=frame.points[:0]))
    too_many = native.detect(native.frame(replace(frame, points=np.concatenate([frame.points] * 2))))
    assert too_many.dropped_points == CAPACITY
    np.testing.assert_array_equal(too_many.boxes, whole.boxes)
    few = native.detect(native.frame(frame), capacity=3)
    assert few.dropped_boxes == len(whole.boxes) - 3
    np.testing.assert_array_equal(few.boxes, whole.boxes[:3])
    native.close()


def test_calibration_that_is_none_is_refused_and_the_one_before_stays(exported) -> None:  # type: ignore[no-untyped-def]
    _, path = exported("camera", "detection", "fp32")
    native, frame = NativePerception(path), made_up(path)
    with pytest.raises(RuntimeRefusal, match="no calibration yet; call vexkd_perception_update_calibration") as refusal:
        native.detect(native.frame(frame))
    assert refusal.value.status == NOT_CALIBRATED
    native.calibrate(frame.intrinsics, frame.camera_to_ego)
    before = native.detect(native.frame(frame))
    broken = frame.intrinsics.copy()
    broken[1, 0, 2] = np.nan
    for intrinsics, words in ((broken, "intrinsics of .* not finite"), (frame.intrinsics * 0, "singular")):
        with pytest.raises(RuntimeRefusal, match=words) as refusal:
            native.calibrate(intrinsics, frame.camera_to_ego)
        assert refusal.value.status == BAD_FRAME
    with pytest.raises(RuntimeRefusal, match="calibration of 1 cameras; the bundle has"):
        native.calibrate(frame.intrinsics[:1], frame.camera_to_ego[:1])
    np.testing.assert_array_equal(native.detect(native.frame(frame)).boxes, before.boxes)
    missing = native.frame(frame)
    missing.image_block = None
    with pytest.raises(RuntimeRefusal, match="no image of"):
        native.detect(missing)
    native.close()


def test_wrong_calls_are_refused(exported, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    _, maps = exported("lidar", "segmentation", "fp32")
    native, frame = NativePerception(maps), made_up(maps)
    raw = native.frame(frame)
    with pytest.raises(RuntimeRefusal, match="call vexkd_perception_segment") as refusal:
        native.detect(raw)
    assert refusal.value.status == WRONG_TASK
    with pytest.raises(RuntimeRefusal, match="memory for 7 floats") as refusal:
        native.segment(raw, capacity=7)
    assert refusal.value.status == INVALID
    on_gpu = native.frame(frame)
    on_gpu.point_memory = 1
    with pytest.raises(RuntimeRefusal, match="lies in device memory") as refusal:
        native.segment(on_gpu)
    assert refusal.value.status == BAD_FRAME
    raw.size -= 8
    with pytest.raises(RuntimeRefusal, match="frame has struct_size"):
        native.segment(raw)
    native.close()
    for options, words in (
        ({"onnxruntime": b"/nowhere/libonnxruntime.so"}, "no libonnxruntime.so at /nowhere"),
        ({"onnxruntime": __file__.encode()}, "cannot be loaded"),
        ({"backend": 3}, "TensorRT|GPU|CUDA"),
    ):
        with pytest.raises(RuntimeRefusal, match=words) as refusal:
            NativePerception(maps, **options)
        assert refusal.value.status == NO_BACKEND
    with pytest.raises(RuntimeRefusal, match="option threads is -1") as refusal:
        NativePerception(maps, threads=-1)
    assert refusal.value.status == INVALID


def test_a_bundle_swapped_under_a_running_handle_changes_nothing(tmp_path: Path) -> None:
    first, second = make_bundle(tmp_path / "a.vexkd"), make_bundle(tmp_path / "b.vexkd", scale=2.0)
    native = NativePerception(first.path)
    frame = made_up(first.path)
    before = native.detect(native.frame(frame))
    shutil.rmtree(first.path)
    shutil.copytree(second.path, first.path)
    np.testing.assert_array_equal(native.detect(native.frame(frame)).boxes, before.boxes)
    swapped = NativePerception(first.path)
    np.testing.assert_array_equal(swapped.detect(swapped.frame(frame)).boxes[:, :3], 2 * before.boxes[:, :3])
    native.close()
    swapped.close()


def test_a_handle_serves_one_thread_and_several_handles_serve_several(exported) -> None:  # type: ignore[no-untyped-def]
    _, path = exported("lidar", "detection", "fp32")
    frame = made_up(path)
    shared = NativePerception(path)
    expected = shared.detect(shared.frame(frame))
    refused, wrong = [], []

    def look(native: NativePerception) -> None:
        raw = native.frame(frame)
        for _ in range(40):
            try:
                found = native.detect(raw)
            except RuntimeRefusal as refusal:
                refused.append(refusal.status)
            else:
                wrong.append(not np.array_equal(found.boxes, expected.boxes))

    own = [NativePerception(path) for _ in range(2)]
    for handles in (own, [shared, shared]):
        threads = [threading.Thread(target=look, args=(handle,)) for handle in handles]
        [thread.start() for thread in threads]
        [thread.join() for thread in threads]
        assert handles is not own or not refused
    assert not any(wrong) and set(refused) <= {BUSY}
    for native in (*own, shared):
        native.close()


@pytest.fixture(scope="module")
def allocation_check(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if shutil.which("g++") is None:
        pytest.skip("g++ is not on the PATH")
    program = tmp_path_factory.mktemp("allocations") / "allocation_check"
    source = Path(__file__).parents[1] / "engines" / "allocation_check.cpp"
    command = ["g++", "-std=c++17", "-Wall", "-Wextra", "-Werror", f"-I{native_prefix() / 'include'}", str(source)]
    command += ["-o", str(program), str(find_library()), f"-Wl,-rpath,{find_library().parent}", "-ldl"]
    subprocess.run(command, check=True)
    return program


@pytest.mark.parametrize(("kind", "task"), [("mgfm", "detection"), ("camera", "segmentation"), ("lidar", "detection")])
def test_nothing_is_allocated_while_driving(kind: str, task: str, exported, allocation_check: Path) -> None:  # type: ignore[no-untyped-def]
    _, path = exported(kind, task, "fp32")
    command = [str(allocation_check), str(path), str(onnxruntime_library())]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    opening, driving = (int(word) for word in done.stdout.replace(",", "").split() if word.isdigit())
    assert opening > 100  # the counter counts
    assert driving == 0


@pytest.mark.parametrize(
    ("recording", "kind", "precision"),
    [("nuscenes-one", "camera", "fp16"), ("pandaset-mini", "lidar", "fp32"), ("pandaset-mini", "mgfm", "fp32")],
)
def test_same_bits_on_real_keyframes(
    recording: str, kind: str, precision: str, real_data: Path, tmp_path: Path
) -> None:
    root = real_data.parent / recording
    if not root.is_dir():
        pytest.skip(f"no recording at {root}")
    version = next(folder.name for folder in root.iterdir() if folder.name.startswith("v1.0-"))
    config = DataConfig(root=root, version=version, sweeps=2, max_points=60_000)
    samples = NuScenesDataset(config, "all", images=kind != "lidar")
    size = None if kind == "lidar" else samples[0].images.shape[1:3]
    run = make_run(tmp_path / "run", kind, "detection")
    path = export_run(run, tmp_path / "model.vexkd", precision, image_size=size)
    native, pipeline = NativePerception(path), Pipeline(read_bundle(path), "cpu", threads=1)
    for sample in (samples[0], samples[-1]):
        assert_same(native, pipeline, sample)
    native.close()
