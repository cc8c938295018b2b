"""A trained run becomes a bundle: folded, cast, traced, compared, measured, built; written whole or not at all."""

import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, NamedTuple

import onnx
from numpy.typing import NDArray

from vexkd.config import Config
from vexkd.engines.bundle import Bundle, write_manifest
from vexkd.engines.manifest import MANIFEST, MODEL, PLUGIN_LIBRARY, Engine, Manifest, Parity, Tensor
from vexkd.engines.onnx_session import OnnxRuntime
from vexkd.engines.targets import Target, find_targets
from vexkd.export import manifest as sections
from vexkd.export.builder_log import engine_log
from vexkd.export.cost import count_cost
from vexkd.export.deployment import Deployment, output_names, run_torch, traced_names
from vexkd.export.engine_build import build_engine, check_gpu_code, choose_flavour
from vexkd.export.example import Example, find_example
from vexkd.export.fold import fold_batch_norms
from vexkd.export.gate import QUANTISED, STRICT, Gate, admit, measure
from vexkd.export.graph_types import count_nodes
from vexkd.export.parity import FOLDING, TOLERANCES, Arrays, Tolerance, failures, measure_parity
from vexkd.export.precision import to_half
from vexkd.export.reference import Progress, find_reference
from vexkd.export.stages import parameters_by_stage
from vexkd.export.trace import trace, with_outputs
from vexkd.models.perception import Perception
from vexkd.plugins.errors import UserError
from vexkd.plugins.files import sha256
from vexkd.plugins.library import find_library
from vexkd.training.run import load_run

Precision = Literal["fp32", "fp16"]


def export_run(
    run: Path,
    out: Path | None = None,
    precision: Precision = "fp32",
    targets: Sequence[str] = (),
    image_size: tuple[int, int] | None = None,
    cpu_only: bool = False,
    progress: Progress = lambda step: None,
    gate: Gate = STRICT,
) -> Path:
    """Export a trained run as a bundle, with an engine for each target, and return the bundle's folder.

    Parity is measured on a keyframe of the run's validation data where that is at hand, else on a made-up frame.

    Args:
        run: run folder.
        out: folder of the bundle, by default ``RUN/NAME-PRECISION.vexkd``; a bundle that is there is replaced.
        precision: of the graph, see :mod:`vexkd.export.precision`.
        targets: as :func:`vexkd.engines.targets.find_target` takes them; those of one capability share an engine.
        image_size: (height, width) of the raw images, where they are not those of the run's data.
        cpu_only: let engines be built with a native library that has no GPU code for them; they never run.
        progress: told what begins.
        gate: how accuracy is measured, and whether a loss beyond the limit is accepted.

    Raises:
        UserError: see :func:`load_run`, :func:`find_reference` and :func:`build_engine`; ``out`` is something else than
            a bundle; the image size is not known; the exported model differs too much from the trained one, or is less
            accurate.
    """
    config, model = load_run(run)
    out = run / f"{run.resolve().name}-{precision}.vexkd" if out is None else out
    _check_out(out)
    wanted = find_targets(targets)
    for target in wanted:
        choose_flavour(target)
        if not cpu_only:
            check_gpu_code(target)
    progress("reading a frame")
    example = find_example(config, image_size)
    raw_size = None if example.camera is None else example.camera.raw_size
    required = precision in QUANTISED
    reference = find_reference(run, config, model, gate.split, gate.frames, raw_size, required, progress)
    progress("tracing the model")
    traced = trace_model(model, config, example, precision)
    with _bundle_folder(out) as folder:
        deployed = with_outputs(traced.graph, output_names(config))
        onnx.save(deployed, folder / MODEL)
        progress("comparing with ONNX Runtime")
        parity = _measured_parity(folder / MODEL, example, traced, config, precision)
        draft = _manifest(run, config, example, deployed, traced.parameters, precision, parity, folder)
        accuracy = None
        if reference is not None:
            accuracy = admit(measure(Bundle(folder, draft), reference, progress), precision, gate.accept)
        engines = []
        for target in wanted:
            progress(f"building the engine for {target.name}")
            tensors = (*draft.inputs, *draft.outputs)
            engines.append(_add_engine(folder, target, tensors, engine_log(out, target)))
        built = {"accuracy": accuracy, "engines": tuple(engines), "files": _digests(folder)}
        write_manifest(folder, draft.model_copy(update=built))
    return out


class Traced(NamedTuple):
    """An exported graph beside what it has to reproduce."""

    graph: onnx.ModelProto
    """With the dense outputs that parity is measured on, too."""
    reference: dict[str, NDArray[Any]]
    """Outputs of the trained model in PyTorch, FP32."""
    parameters: dict[str, int]
    """Of the trained model, by stage."""


def trace_model(model: Perception, config: Config, example: Example, precision: Precision) -> Traced:
    """Fold, cast and trace a model in evaluation mode, which is changed by it.

    Raises:
        UserError: folding its batch normalisations changed what it computes.
    """
    module = Deployment(model)
    names = traced_names(config)
    inputs = example.tensors(module.names)
    parameters = parameters_by_stage(model)
    reference = run_torch(module, inputs, names)
    fold_batch_norms(module, inputs)
    _compare(reference, run_torch(module, inputs, names), config, FOLDING, example.origin, "PyTorch, folded")
    if precision == "fp16":
        to_half(model)
    return Traced(trace(module, inputs, module.names, names), reference, parameters)


def _measured_parity(file: Path, example: Example, traced: Traced, config: Config, precision: Precision) -> Parity:
    """Dense outputs are those of the traced graph, the others those of the file as it is deployed."""
    # One session after the other: at paper size each takes several GiB.
    dense = OnnxRuntime(traced.graph.SerializeToString(), "cpu", threads=0).run(example.arrays)
    runtime = OnnxRuntime(file, "cpu", threads=0)
    found = dense | runtime.run(example.arrays)
    return _compare(traced.reference, found, config, TOLERANCES[precision], example.origin, runtime.name)


def _compare(
    reference: Arrays, found: Arrays, config: Config, tolerance: Tolerance, origin: str, runtime: str
) -> Parity:
    parity = measure_parity(reference, found, config.model.head.score_threshold, origin, runtime)
    told = failures(parity, tolerance)
    if told:
        raise UserError(f"the export is refused: {runtime} does not reproduce the trained model: {'; '.join(told)}")
    return parity


def _add_engine(folder: Path, target: Target, tensors: Sequence[Tensor], log: Path) -> Engine:
    library = folder / PLUGIN_LIBRARY
    if not library.exists():
        shutil.copy(find_library(), library)
    build = build_engine(folder / MODEL, find_library(), target, tensors, log)
    (folder / build.entry.file).write_bytes(build.data)
    return build.entry


def _manifest(
    run: Path,
    config: Config,
    example: Example,
    deployed: onnx.ModelProto,
    parameters: dict[str, int],
    precision: Precision,
    parity: Parity,
    folder: Path,
) -> Manifest:
    """Of a bundle that has no engine and was not measured yet."""
    model = config.model
    return Manifest(
        task=config.task,
        sensors=(*(("camera",) if model.camera else ()), *(("lidar",) if model.lidar else ())),
        precision=precision,
        grid=sections.grid_section(config),
        classes=sections.classes(config),
        inputs=sections.tensors(list(deployed.graph.input)),
        outputs=sections.tensors(list(deployed.graph.output)),
        camera=example.camera,
        points=example.points,
        selection=sections.selection_section(config),
        source=sections.source_section(run, config),
        parity=parity,
        accuracy=None,
        cost=count_cost(deployed, parameters),
        nodes=count_nodes(deployed.graph),
        files=_digests(folder),
    )


def _digests(folder: Path) -> dict[str, str]:
    return {file.name: sha256(file) for file in sorted(folder.iterdir())}


def _check_out(out: Path) -> None:
    if out.exists() and not (out / MANIFEST).is_file() and not (out.is_dir() and not any(out.iterdir())):
        raise UserError(f"{out} is there and is no bundle; remove it or give another --out")


@contextmanager
def _bundle_folder(out: Path) -> Iterator[Path]:
    """A temporary folder beside ``out`` that takes its place when the block succeeds."""
    out.parent.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(dir=out.parent, prefix=f".{out.name}."))
    old = folder.with_name(folder.name + ".old")
    try:
        folder.chmod(0o755)
        yield folder
        if out.exists():
            out.rename(old)
        folder.rename(out)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)
