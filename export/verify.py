"""Whether a bundle is whole and works on this machine: step by step, as far as what is here allows."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import BaseModel, ConfigDict

import vexkd
from vexkd.engines.bundle import Bundle, read_bundle
from vexkd.engines.gpu import find_gpus
from vexkd.engines.machine import package_version
from vexkd.engines.manifest import PLUGIN_LIBRARY, Engine
from vexkd.engines.native_runtime import NativePerception, RuntimeRefusal
from vexkd.engines.onnx_session import has_cuda
from vexkd.engines.pipeline import Boxes, Pipeline, Result
from vexkd.engines.preprocess import Frame
from vexkd.engines.probe import probe_frame
from vexkd.engines.session import matching_engine, why_not_here
from vexkd.engines.targets import serves
from vexkd.export.compare import ROUNDING
from vexkd.export.contestant import Arrays, Backend, Contestant, bundle_inputs
from vexkd.export.parity import TOLERANCES, Tolerance, failures, measure_parity
from vexkd.plugins.errors import UserError
from vexkd.plugins.library import cuda_architectures, open_library

Status = Literal["ok", "failed", "skipped"]
ENTRY_POINTS = ("getCreators", "setLoggerFinder", "RegisterCustomOps", "vexkd_perception_open")
EXACT = ("Voxelize", "PillarMax")
"""Operators whose function bodies give the bits of the kernels; ``BevPool`` agrees to float32 rounding."""


class Step(BaseModel):
    """One check."""

    model_config = ConfigDict(frozen=True)

    name: str
    status: Status
    detail: str
    """What was found; why it failed or was skipped."""


class Verification(BaseModel):
    """All checks of a bundle, in the order in which they were made."""

    model_config = ConfigDict(frozen=True)

    bundle: str
    steps: tuple[Step, ...]

    @property
    def sound(self) -> bool:
        """Whether no check failed."""
        return not any(step.status == "failed" for step in self.steps)


class _Skip(Exception):
    """A check that cannot be made here, and why."""


def verify_bundle(path: Path, threads: int = 0, progress: Callable[[str], None] = lambda step: None) -> Verification:
    """Make every check that can be made here.

    Args:
        path: folder of the bundle.
        threads: of ONNX Runtime; 0 takes all cores.
        progress: told what begins.
    """
    checks = _Checks(progress)
    bundles: list[Bundle] = []
    checks.run("files", lambda: _files(path, bundles))
    if bundles:
        _check_contents(bundles[0], threads, checks)
    return Verification(bundle=str(path), steps=tuple(checks.steps))


class _Checks:
    def __init__(self, progress: Callable[[str], None]) -> None:
        self.steps: list[Step] = []
        self._progress = progress

    def run(self, name: str, check: Callable[[], str]) -> None:
        """Make a check, which answers in words, skips or raises."""
        self._progress(name)
        status: Status = "ok"
        try:
            detail = check()
        except _Skip as reason:
            status, detail = "skipped", str(reason)
        except (UserError, RuntimeError, OSError) as error:
            status, detail = "failed", str(error)
        self.steps.append(Step(name=name, status=status, detail=" ".join(detail.split())))


def _check_contents(bundle: Bundle, threads: int, checks: _Checks) -> None:
    manifest = bundle.manifest
    frame = probe_frame(manifest.grid, manifest.camera, manifest.points)
    said: dict[Backend, Arrays] = {}
    checks.run("versions", lambda: _versions(bundle))
    checks.run("plugin library", lambda: _library(bundle))
    for engine in manifest.engines:
        checks.run(f"engine {engine.target}", partial(_engine, bundle, engine))
    run = partial(_run, bundle=bundle, threads=threads, frame=frame, said=said)
    checks.run(_TITLES["cpu"], partial(run, "cpu"))
    checks.run("C++ runtime", lambda: _cpp(bundle, threads, frame))
    for backend in ("cuda", "tensorrt"):
        checks.run(_TITLES[backend], partial(run, backend))
    checks.run("engine against ONNX Runtime", lambda: _polygraphy(bundle, frame, said))
    # Last, as bodies take several GiB at full size, which the process does not give back.
    checks.run(_TITLES["bodies"], partial(run, "bodies"))
    checks.run("operators agree", lambda: _operators_agree(bundle, said))


_TITLES: dict[Backend, str] = {
    "cpu": "ONNX Runtime, native operators",
    "bodies": "ONNX Runtime, function bodies",
    "cuda": "ONNX Runtime, CUDA",
    "tensorrt": "TensorRT",
}


def _files(path: Path, bundles: list[Bundle]) -> str:
    bundle = read_bundle(path)
    bundles.append(bundle)
    size = sum((path / name).stat().st_size for name in bundle.manifest.files) / 2**20
    count = len(bundle.manifest.files)
    return f"{count} files, {size:.1f} MiB, each as the manifest says; schema {bundle.manifest.schema_version}"


def _versions(bundle: Bundle) -> str:
    runtime = package_version("onnxruntime") or package_version("onnxruntime-gpu") or "none"
    source = bundle.manifest.source.vexkd
    return f"exported by vexkd {source}, here are vexkd {vexkd.__version__} and ONNX Runtime {runtime}"


def _library(bundle: Bundle) -> str:
    if PLUGIN_LIBRARY not in bundle.manifest.files:
        raise _Skip("the bundle has no engine and carries none; the installed one is used")
    library = open_library(bundle.plugin_library, "its engines need a VeXKD of that ABI")
    missing = [name for name in ENTRY_POINTS if not hasattr(library, name)]
    if missing:
        raise UserError(f"{bundle.plugin_library} does not export {', '.join(missing)}")
    held = cuda_architectures(library)
    for engine in bundle.manifest.engines:
        if engine.gpu_code != serves(held, engine.compute_capability):
            has = "has" if not engine.gpu_code else "has no"
            raise UserError(f"the manifest is wrong: the library {has} GPU code for {engine.compute_capability}")
    code = f"GPU code for {', '.join(held)}" if held else "no GPU code: its engines never run"
    return f"{library.vexkd_build_info().decode()}; {code}"


def _engine(bundle: Bundle, engine: Engine) -> str:
    reason = why_not_here(bundle, engine)
    told = f"{engine.flavour} {engine.version}, compute capability {engine.compute_capability}"
    if reason:
        raise _Skip(f"{told}: {reason}")
    return f"{told}, runs here"


def _run(backend: Backend, bundle: Bundle, threads: int, frame: Frame, said: dict[Backend, Arrays]) -> str:
    if backend in ("cuda", "tensorrt") and not find_gpus():
        raise _Skip("no NVIDIA GPU or driver here")
    if backend == "cuda" and not has_cuda():
        raise _Skip("this ONNX Runtime was built without CUDA")
    if backend == "tensorrt" and all(why_not_here(bundle, engine) for engine in bundle.manifest.engines):
        raise _Skip("no engine of the bundle runs here")
    contestant = Contestant(bundle, backend, threads)
    outputs = contestant.run(bundle_inputs(bundle, frame))
    _check_outputs(bundle, outputs)
    said[backend] = outputs
    if backend in ("cuda", "tensorrt") and "cpu" in said:
        _check_agreement(bundle, said["cpu"], outputs, TOLERANCES[bundle.manifest.precision], contestant.runtime)
    return f"{contestant.runtime}: one frame, {len(bundle.manifest.outputs)} outputs, finite"


def _check_outputs(bundle: Bundle, outputs: Arrays) -> None:
    for tensor in bundle.manifest.outputs:
        found = outputs[tensor.name]
        if found.shape != tensor.shape or found.dtype != np.dtype(tensor.dtype):
            raise UserError(
                f"output {tensor.name} is {found.dtype} {list(found.shape)}, the manifest says {tensor.dtype} "
                f"{list(tensor.shape)}"
            )
    for name, found in outputs.items():
        if not np.isfinite(found).all():
            raise UserError(f"output {name} holds {int((~np.isfinite(found)).sum())} values that are not finite")


def _operators_agree(bundle: Bundle, said: dict[Backend, Arrays]) -> str:
    if "cpu" not in said or "bodies" not in said:
        raise _Skip("one of the two did not run")
    native, bodies = said["cpu"], said["bodies"]
    if all(np.array_equal(native[name], bodies[name]) for name in native):
        return "kernels and function bodies give the same bits"
    precision = bundle.manifest.precision
    if bundle.manifest.camera is None:
        raise UserError(f"kernels and function bodies of {' and '.join(EXACT)} give other bits than each other")
    tolerance = TOLERANCES[precision]._replace(relative=ROUNDING[precision])
    _check_agreement(bundle, native, bodies, tolerance, "function bodies")
    return "kernels and function bodies agree to rounding, as BevPool's do"


def _check_agreement(bundle: Bundle, reference: Arrays, found: Arrays, tolerance: Tolerance, runtime: str) -> None:
    selection = bundle.manifest.selection
    threshold = 0.0 if selection is None else selection.score_threshold
    parity = measure_parity(reference, found, threshold, "made-up frame", runtime)
    # Without probabilities it is not known which boxes rounding decides: then they are not judged.
    judged = parity if "probability" in reference else parity.model_copy(update={"boxes": None})
    told = failures(judged, tolerance)
    if told:
        raise UserError(f"{runtime} differs from native operators on the CPU: {'; '.join(told)}")


def _cpp(bundle: Bundle, threads: int, frame: Frame) -> str:
    expected = Pipeline(bundle, "cpu", threads)(frame)  # and its session is gone before the next one is made
    try:
        native = NativePerception(bundle.path, threads)
        try:
            if bundle.manifest.camera is not None:
                native.calibrate(frame.intrinsics, frame.camera_to_ego)
            same = _same(native, frame, expected)
            runtime = native.info.backend.decode()
        finally:
            native.close()
    except RuntimeRefusal as refusal:
        raise UserError(str(refusal)) from refusal
    if not same:
        raise UserError("the C++ runtime gives other results than Python on the same frame")
    return f"{runtime}: the results of Python, bit for bit"


def _same(native: NativePerception, frame: Frame, expected: Result) -> bool:
    raw = native.frame(frame)
    if expected.boxes is None:
        assert expected.logits is not None
        return np.array_equal(native.segment(raw).logits, expected.logits)
    found = native.detect(raw)
    return all(map(np.array_equal, Boxes(found.boxes, found.scores, found.labels), expected.boxes))


def _polygraphy(bundle: Bundle, frame: Frame, said: dict[Backend, Arrays]) -> str:
    engine = matching_engine(bundle)
    if not find_gpus():
        raise _Skip("polygraphy runs an engine on a GPU, and no NVIDIA GPU or driver is here")
    if engine is None:
        raise _Skip("no engine of the bundle runs here")
    if package_version("polygraphy") is None:
        raise _Skip("polygraphy is not installed; it comes with: pip install 'vexkd[train]'")
    if "cpu" not in said:
        raise _Skip("ONNX Runtime did not run")
    from vexkd.export.polygraphy_run import run_engine

    outputs = run_engine(bundle, engine, bundle_inputs(bundle, frame))
    _check_outputs(bundle, outputs)
    _check_agreement(bundle, said["cpu"], outputs, TOLERANCES[bundle.manifest.precision], "polygraphy's TensorRT")
    return f"polygraphy {package_version('polygraphy')} gets what ONNX Runtime gets from {engine.file}"
