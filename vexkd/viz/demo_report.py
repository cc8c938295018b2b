"""The demo's results as one HTML page: what was measured, how, and what it looks like."""

from collections.abc import Set
from pathlib import Path
from typing import Any

from vexkd.plugins.files import write_text
from vexkd.viz.html import figure, page, paragraph, table
from vexkd.viz.ratios import draw_ratios

NAMES = {
    "teacher": "teacher (LiDAR + camera)",
    "lidar": "LiDAR student, plain",
    "distill-lidar": "LiDAR student, distilled",
    "camera": "camera student, plain",
    "distill-camera": "camera student, distilled",
}
METRICS = {"detection": ("mAP", "NDS"), "segmentation": ("mIoU",)}
CAPTIONS = {
    "boxes": "Bird's-eye view, forward up: annotated boxes filled in green, found boxes outlined in class colours.",
    "maps": "Map segmentation at probability 0.5 beside ground truth, forward up.",
    "features": "Energy (root mean square over the channels) of the BEV features of plain student, distilled student "
    "and teacher, before (low level) and after (high level) the BEV encoder, forward up. All pictures of a row share "
    "the logarithmic scale at its right, so that the same colour is the same energy; what lies beyond an end of the "
    "scale has the colour of that end.",
    "fusion": "Energy of the teacher's BEV features: of the camera and of the LiDAR before the fusion, fused, and "
    "after the BEV encoder, all on the one logarithmic scale at the right.",
    "masks": "Mask of either level, 0 to 1, over annotated boxes or map classes (outlines), with its mean inside of "
    "them and elsewhere; at its left the teacher's feature, at its right what the mask leaves of it, on one scale.",
}


def write_report(report: dict[str, Any], out: Path) -> Path:
    """Write ``report.html`` beside the pictures it shows; returns its path."""
    sections = [("What was compared", _comparison(report))]
    for task in report["results"]:
        sections.append((f"Results: {task}", _results(report, task)))
    sections.append(("How strong imitation was, and what the masks select", _imitation(report, out)))
    sections.append(("Engines and parity", _bundles(report)))
    sections.append(("Latency, stage by stage", _stages(report)))
    fused: set[str] = set()
    for name, paths in report["pictures"].items():
        task, sensor = name.rsplit("-", 1)
        if task not in fused:
            # Every group of a task shows the same teacher.
            sections.append((f"Before and after fusion: {task}", _pictures(paths, {"fusion"}, out)))
            fused.add(task)
        sections.append(
            (f"Before and after distillation: {sensor}, {task}", _pictures(paths, CAPTIONS.keys() - {"fusion"}, out))
        )
    sections.append(("What ONNX Runtime found from raw sensor data", _inferred(report, out)))
    sections.append(("Steps", _steps(report)))
    path = out / "report.html"
    lead = f"{report['scale']['name']} run, {report['seconds'] / 60:.1f} minutes on {_machine(report['machine'])}"
    write_text(path, page("VeXKD demo", lead, sections))
    return path


def difference(value: float, base: float, digits: int = 3) -> str:
    """A signed difference as the tables print it; one that rounds to nothing has no sign."""
    rounded = round(value - base, digits)
    return f"{rounded:+.{digits}f}" if rounded else f"{0:.{digits}f}"


def _comparison(report: dict[str, Any]) -> list[str]:
    scale = report["scale"]
    text = (
        f"Synthetic data in nuScenes' format: {scale['scenes']} scenes of {scale['keyframes']} keyframes, the last "
        "fifth of the scenes for validation. The teacher fuses LiDAR and cameras and starts from the plain LiDAR "
        "student's weights where there is one, as BEVFusion does. All see the same few training scenes. A plain and a "
        "distilled student have the same architecture, start from the same weights and take the same number of steps. "
        f"One training each, seed {report['seed']}; docs/results.md repeats them with several seeds, as "
        "vexkd ablate main does."
    )
    pieces = [paragraph(text)]
    if scale["name"] == "quick":
        pieces.append(paragraph("This was the quick run: a few steps on a few keyframes. Its accuracies mean nothing."))
    return pieces


def _results(report: dict[str, Any], task: str) -> list[str]:
    results, metrics = report["results"][task], METRICS[task]
    measured = {row["bundle"]: row for row in report["bench"].get(task, {}).get("measurements", [])}
    rows = []
    for name, result in results.items():
        values = [f"{result['metrics'][metric]:.3f}" for metric in metrics]
        plain = results.get(name.removeprefix("distill-")) if name.startswith("distill-") else None
        gain = [difference(result["metrics"][m], plain["metrics"][m]) if plain else "" for m in metrics]
        # A plain student is the same graph as its distilled twin, which is the one that was exported.
        key = name if name in report["bundles"].get(task, {}) else f"distill-{name}"
        row = measured.get(f"{task}-{key}-fp32")
        rows.append([NAMES[name], *values, *gain, *(_cost(row) if row else [""] * 4), f"{result['seconds']:.0f}"])
    headers = ["model", *metrics, *(f"{metric} gain" for metric in metrics)]
    headers += ["GFLOPs", "M parameters", "ms", "FPS", "training, s"]
    first = next(iter(measured.values()), None)
    how = (
        f"{' and '.join(metrics)} on the validation split, by the nuScenes devkit's own code. "
        if task == "detection"
        else "mIoU on the validation split, each class at its best threshold of 0.35 to 0.65. "
    )
    if first:
        how += (
            f"Times: median of {first['repeats']} runs at batch 1 in {first['runtime']} on the machine named above, "
            "from sensor input to result, every input filled to its capacity; FPS is its inverse."
        )
    return [table(headers, rows), paragraph(how, soft=True)]


def _imitation(report: dict[str, Any], out: Path) -> list[str]:
    distilled = {
        f"{task}-{name}": result["distillation"]
        for task, results in report["results"].items()
        for name, result in results.items()
        if "distillation" in result
    }
    rows = [_mask_row(name, level, found) for name, found in distilled.items() for level in found["masks"]]
    headers = ["run: level", "KD to task", "mask", "inside", "outside", "cells", "of", "teacher's loss", "masked"]
    told = (
        "KD to task: median over the run of the ratio of gradient norms, lambda times the KD term to the task's loss, "
        "on the student's weights; above 1 imitation outweighs the task. Mask: its mean over the map, and inside and "
        "outside of annotated boxes (detection). Cells: over how many the masked feature's energy spreads "
        "(participation ratio), of how many without the mask. Teacher's loss: on validation keyframes, with its own "
        "feature and with the masked one."
    )
    logs = {name: out / "runs" / name / "log.jsonl" for name in distilled}
    chart = figure(draw_ratios(logs, out / "pictures" / "ratios.png"), "The same ratio over the steps.", out)
    return [table(headers, rows), paragraph(told, soft=True), chart]


def _mask_row(name: str, level: str, found: dict[str, Any]) -> list[str]:
    mask = found["masks"][level]
    shares = [f"{mask[key]:.2f}" if key in mask else "" for key in ("mean", "inside", "outside")]
    cells = [f"{mask[key]:.0f}" for key in ("effective_cells", "whole_cells")]
    losses = [f"{mask[key]:.3f}" for key in ("teacher_loss", "masked_loss")]
    ratio = "" if found["kd_ratio"] is None else f"{found['kd_ratio']:.2f}"
    return [f"{name}: {level}", ratio, *shares, *cells, *losses]


def _cost(row: dict[str, Any]) -> list[str]:
    """GFLOPs, million parameters, milliseconds, FPS."""
    million = row["parameters"] / 1e6
    return [f"{row['gflops']:.2f}", f"{million:.2f}", f"{row['total']['p50']:.1f}", f"{row['fps']:.1f}"]


def _bundles(report: dict[str, Any]) -> list[str]:
    rows = []
    for task, named in report["bundles"].items():
        for name, pair in named.items():
            rows += [_bundle_row(f"{task}, {NAMES[name]}", manifest) for manifest in pair]
    headers = [
        "bundle",
        "precision",
        "engine for",
        "TensorRT",
        "our plugin layers",
        "parity: boxes",
        "centre, m",
        "relative",
        "accuracy",
    ]
    ran = "" if report["machine"]["gpus"] else "No GPU is there, so no engine has run: they were built on the CPU. "
    told = (
        "Each engine holds our plugins as layers. " + ran + "Parity compares PyTorch in FP32 with ONNX Runtime on one "
        "keyframe: boxes over the score threshold that found their twin, the largest distance of centres, and the "
        "largest difference of any output relative to its range. Accuracy is the bundle's in ONNX Runtime, and the "
        "trained model's, on the keyframes for validation; an export that loses more than a limit is refused."
    )
    return [table(headers, rows), paragraph(told, soft=True)]


def _bundle_row(name: str, manifest: dict[str, Any]) -> list[str]:
    engines, parity = manifest["engines"], manifest["parity"]
    boxes = parity["boxes"]
    return [
        name,
        manifest["precision"],
        ", ".join(f"{engine['target']} ({engine['compute_capability']})" for engine in engines),
        ", ".join(sorted({f"{engine['flavour']} {engine['version']}" for engine in engines})),
        ", ".join(str(engine["plugin_layers"]) for engine in engines),
        f"{boxes['count'] - boxes['unmatched']} of {boxes['count']}" if boxes else "",
        f"{boxes['max_centre']:.4f}" if boxes else "",
        f"{max(output['max_rel'] for output in parity['outputs'].values()):.1e}",
        _accuracy(manifest["accuracy"]),
    ]


def _accuracy(accuracy: dict[str, Any] | None) -> str:
    metrics = {} if accuracy is None else accuracy["metrics"]
    return ", ".join(f"{name} {m['bundle']:.4f} ({m['reference']:.4f})" for name, m in metrics.items())


def _stages(report: dict[str, Any]) -> list[str]:
    rows = [
        [f"{row['bundle']}: {stage['stage']}", *(f"{stage[q]:.2f}" for q in ("p50", "p90", "p99"))]
        for bench in report["bench"].values()
        for row in bench["measurements"]
        for stage in [*row["stages"], row["total"]]
    ]
    return [table(["bundle: stage", "median, ms", "90 %, ms", "99 %, ms"], rows)]


def _pictures(paths: list[str], kinds: Set[str], out: Path) -> list[str]:
    shown = []
    for path in paths:
        kind = Path(path).stem.split("-", 1)[1]
        if kind in kinds:
            shown.append(figure(out / path, CAPTIONS[kind], out))
    return shown


def _inferred(report: dict[str, Any], out: Path) -> list[str]:
    shown = []
    for task, folders in report["inferred"].items():
        for name, folder in folders.items():
            pictures = sorted((out / folder / "pictures").glob("*.png"))[:1]
            shown += [figure(picture, f"{NAMES[name]}, {task}", out) for picture in pictures]
    return shown


def _steps(report: dict[str, Any]) -> list[str]:
    rows = [[step["title"], f"{step['seconds']:.1f}", step["command"]] for step in report["steps"]]
    return [table(["step", "seconds", "command"], rows)]


def _machine(machine: dict[str, Any]) -> str:
    gpus = ", ".join(machine["gpus"]) or "no GPU"
    return f"{machine['cpu']}, {machine['cores']} cores, {machine['memory_gib']:.0f} GiB, {gpus}."
