"""Every check of a bundle, that it passes on a sound one and what it says of an unsound one."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from test_compare import changed

from vexkd.engines.bundle import read_bundle, write_manifest
from vexkd.engines.gpu import Gpu, find_gpus
from vexkd.engines.manifest import MANIFEST, MODEL, PLUGIN_LIBRARY, Manifest
from vexkd.engines.tensorrt_flavour import is_installed
from vexkd.export import contestant as contestant_module
from vexkd.export.verify import Step, verify_bundle
from vexkd.plugins.files import sha256

NO_GPU = pytest.mark.skipif(bool(find_gpus()), reason="says what happens without a GPU")
NEEDS_RTX = pytest.mark.skipif(not is_installed("tensorrt_rtx"), reason="tensorrt-rtx is not installed")


@pytest.fixture
def bundle(exported, tmp_path: Path) -> Path:  # type: ignore[no-untyped-def]
    path = tmp_path / "a.vexkd"
    shutil.copytree(exported("lidar", "detection", "fp32")[1], path)
    return path


def steps(path: Path) -> dict[str, Step]:
    return {step.name: step for step in verify_bundle(path, threads=1).steps}


def resign(path: Path, **changes: object) -> None:
    manifest = read_bundle(path).manifest
    files = {name: sha256(path / name) for name in manifest.files}
    write_manifest(path, manifest.model_copy(update={"files": files, **changes}))


@NO_GPU
@pytest.mark.parametrize(
    ("kind", "task", "precision"),
    [("lidar", "detection", "fp32"), ("camera", "detection", "fp16"), ("conv", "segmentation", "fp32")],
)
def test_a_sound_bundle_passes_all_that_can_be_checked_here(exported, kind, task, precision) -> None:  # type: ignore[no-untyped-def]
    path = exported(kind, task, precision)[1]
    found = verify_bundle(path, threads=1)
    assert found.sound, found.steps
    done = {step.name: step for step in found.steps}
    expected = {"files", "versions", "ONNX Runtime, native operators", "ONNX Runtime, function bodies"}
    expected |= {"operators agree", "C++ runtime"} | ({"plugin library"} if is_installed("tensorrt_rtx") else set())
    assert {name for name, step in done.items() if step.status == "ok"} == expected
    for name in ("ONNX Runtime, CUDA", "TensorRT", "engine against ONNX Runtime"):
        assert done[name].status == "skipped" and "no NVIDIA GPU or driver" in done[name].detail
    assert ("same bits" in done["operators agree"].detail) == (kind == "lidar")


def test_a_changed_file_ends_the_checks(bundle: Path) -> None:
    with (bundle / MODEL).open("ab") as file:
        file.write(b"\0")
    found = verify_bundle(bundle)
    assert [step.status for step in found.steps] == ["failed"] and not found.sound
    assert "model.onnx was changed" in found.steps[0].detail


def test_operators_that_give_other_bits_are_found(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = contestant_module.Contestant.run

    def other(self, inputs):  # type: ignore[no-untyped-def]
        outputs = run(self, inputs)
        return {**outputs, "scores": outputs["scores"] * (0.999 if self.backend == "bodies" else 1)}

    monkeypatch.setattr(contestant_module.Contestant, "run", other)
    found = steps(bundle)["operators agree"]
    assert found.status == "failed" and "Voxelize and PillarMax give other bits" in found.detail


def test_outputs_that_are_not_finite_are_found(bundle: Path, tmp_path: Path) -> None:
    broken = changed(bundle, tmp_path / "b.vexkd", 0, np.nan)[0].path
    found = steps(broken)
    assert found["ONNX Runtime, native operators"].status == "failed"
    assert "values that are not finite" in found["ONNX Runtime, native operators"].detail
    assert found["operators agree"].status == "skipped"


def test_a_model_that_onnxruntime_does_not_load_is_found(bundle: Path) -> None:
    model = onnx.load(bundle / MODEL)
    model.graph.node[0].op_type = "Nothing"
    onnx.save(model, bundle / MODEL)
    old = Manifest.model_validate(json.loads((bundle / MANIFEST).read_text()))
    write_manifest(bundle, old.model_copy(update={"files": {**old.files, MODEL: sha256(bundle / MODEL)}}))
    found = steps(bundle)
    assert found["files"].status == "ok"
    for name in ("ONNX Runtime, native operators", "ONNX Runtime, function bodies", "C++ runtime"):
        assert found[name].status == "failed", name
    assert "ONNX Runtime cannot load" in found["ONNX Runtime, native operators"].detail


@NEEDS_RTX
def test_a_manifest_that_promises_gpu_code_is_found_out(bundle: Path) -> None:
    engines = read_bundle(bundle).manifest.engines
    resign(bundle, engines=tuple(e.model_copy(update={"gpu_code": not e.gpu_code}) for e in engines))
    found = steps(bundle)["plugin library"]
    assert found.status == "failed" and "the manifest is wrong: the library has" in found.detail


@NEEDS_RTX
def test_a_library_that_is_none_is_found(bundle: Path) -> None:
    manifest = read_bundle(bundle).manifest
    (bundle / PLUGIN_LIBRARY).write_bytes(b"no library")
    digest = sha256(bundle / PLUGIN_LIBRARY)
    engines = tuple(e.model_copy(update={"plugin_library_sha256": digest}) for e in manifest.engines)
    files = {**manifest.files, PLUGIN_LIBRARY: digest}
    write_manifest(bundle, manifest.model_copy(update={"engines": engines, "files": files}))
    found = steps(bundle)
    assert found["plugin library"].status == "failed" and "cannot load" in found["plugin library"].detail
    assert found["C++ runtime"].status == "ok", "the rest is still looked at"


@NEEDS_RTX
def test_an_engine_of_another_gpu_or_version_is_skipped_with_the_reason(
    bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engines = read_bundle(bundle).manifest.engines
    resign(bundle, engines=tuple(e.model_copy(update={"gpu_code": True}) for e in engines))
    monkeypatch.setattr("vexkd.engines.session.find_gpus", lambda: [Gpu(0, "NVIDIA H100", "9.0", 80_000)])
    assert "this GPU is NVIDIA H100 (9.0)" in steps(bundle)["engine rtx4090"].detail
    monkeypatch.setattr("vexkd.engines.session.find_gpus", lambda: [Gpu(0, "NVIDIA L4", "8.9", 24_000)])
    assert "needs pycuda" in steps(bundle)["engine rtx4090"].detail
    resign(bundle, engines=tuple(e.model_copy(update={"gpu_code": True, "version": "1.2.0"}) for e in engines))
    assert "built by tensorrt_rtx 1.2.0, installed is 1." in steps(bundle)["engine rtx4090"].detail


def test_a_deployed_machine_without_torch_and_onnx_can_inspect_verify_and_compare(bundle: Path) -> None:
    script = """
import sys
for name in ("torch", "onnx", "onnxscript", "lightning", "polygraphy"):
    sys.modules[name] = None
from vexkd.cli.app import main
for words in (["inspect"], ["verify", "--threads", "1"], ["compare", "--threads", "1"]):
    try:
        main([words[0], sys.argv[1], *words[1:]])
    except SystemExit as end:
        assert not end.code, (words, end.code)
"""
    done = subprocess.run([sys.executable, "-c", script, str(bundle)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
