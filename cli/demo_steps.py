"""The demonstration, step by step: what one would type, in one process."""

import json
import os
import shutil
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

from rich.console import Console
from rich.progress import Progress

import vexkd
from vexkd.cli.inference import open_frames, run_frames
from vexkd.config import load_config
from vexkd.data.synth.generate import SynthConfig, generate
from vexkd.engines.bench import bench_bundles
from vexkd.engines.bundle import Bundle, read_bundle
from vexkd.engines.machine import describe_machine
from vexkd.engines.pipeline import Pipeline
from vexkd.engines.targets import find_target
from vexkd.export.engine_build import choose_flavour, has_gpu_code
from vexkd.export.export import Precision, export_run
from vexkd.plugins.errors import UserError
from vexkd.plugins.files import write_text
from vexkd.training.machine import git_commit
from vexkd.training.train import train
from vexkd.viz.demo_report import write_report
from vexkd.viz.runs import draw_runs

T = TypeVar("T")
MARKER = "report.json"
SENSORS = {"teacher": "LiDAR + camera", "lidar": "LiDAR", "camera": "camera"}
PRECISIONS: tuple[Precision, Precision] = ("fp32", "fp16")
LIDAR = ("lidar", "teacher", "distill-lidar")
BOTH = (*LIDAR, "camera", "distill-camera")


@dataclass(frozen=True)
class Scale:
    """How much of everything the demo does.

    Attributes:
        scenes, keyframes: of the synthetic data; the last fifth of the scenes is for validation.
        recipes: runs per task, each after what it needs.
        overrides: settings of all trainings.
        exported: the recipes of each task that become bundles; the first is the reference.
        repeats: measured runs of each bundle.
        pictures: keyframes to draw.
    """

    name: str
    scenes: int
    keyframes: int
    recipes: dict[str, tuple[str, ...]]
    overrides: tuple[str, ...]
    exported: dict[str, tuple[str, ...]]
    repeats: int
    pictures: int


FULL = Scale(
    name="full",
    scenes=100,
    keyframes=3,
    # A camera alone learns no 3-D detection that a person believes from so few keyframes; it does learn the map.
    recipes={"detection": LIDAR, "segmentation": BOTH},
    overrides=(),
    exported={
        "detection": ("teacher", "distill-lidar"),
        "segmentation": ("teacher", "distill-lidar", "distill-camera"),
    },
    repeats=30,
    pictures=3,
)
QUICK = Scale(
    name="quick",
    scenes=5,
    keyframes=2,
    recipes={"detection": BOTH, "segmentation": ("teacher", "camera", "distill-camera")},
    overrides=("train.epochs=1", "train.evaluate_every=0", "data.train_scenes=null"),
    exported={"detection": ("teacher", "distill-lidar", "distill-camera"), "segmentation": ("distill-camera",)},
    repeats=5,
    pictures=1,
)


class Steps:
    """Announces each step with its number, times it, and stops the demo where one fails."""

    def __init__(self, total: int) -> None:
        self.total = total
        self.console = Console(stderr=True)
        self.done: list[dict[str, Any]] = []

    def __call__(self, title: str, command: str, action: Callable[[], T]) -> T:
        """Run one step; ``command`` is what a user would type for it."""
        self.console.rule(f"[{len(self.done) + 1}/{self.total}] {title}", align="left")
        self.console.print(f"  $ {command}", style="dim", highlight=False, markup=False)
        started = time.monotonic()
        try:
            result = action()
        except UserError as error:
            raise UserError(f"the demo stops at step {len(self.done) + 1}, {title}: {error}") from error
        self.done.append({"title": title, "command": command, "seconds": round(time.monotonic() - started, 1)})
        return result


def run_demo(out: Path, scale: Scale, target: str, seed: int) -> Path:
    """Run every step and write ``report.html`` and ``report.json`` into ``out``; the path of the former.

    Raises:
        UserError: the target is unknown, ``out`` holds something else than an earlier demo, or a step fails.
    """
    choose_flavour(find_target(target))
    _prepare(out)
    bundles = sum(len(names) for names in scale.exported.values())
    steps = Steps(2 + sum(len(names) for names in scale.recipes.values()) + bundles + 2 * len(scale.exported) + 1)
    started = time.monotonic()
    data = out / "data"
    steps(
        "Synthesise a data set in nuScenes' format",
        f"vexkd data synth {data} --scenes {scale.scenes} --keyframes {scale.keyframes} --seed {seed}",
        lambda: _generate(steps, data, SynthConfig(scale.scenes, seed, scale.keyframes)),
    )
    results = {
        task: {name: _train(steps, out, task, name, scale, seed) for name in names}
        for task, names in scale.recipes.items()
    }
    exported = {
        task: {name: _export(steps, out, task, name, target) for name in names}
        for task, names in scale.exported.items()
    }
    bench = {task: _bench(steps, bundles, scale) for task, bundles in exported.items()}
    found = {task: _infer(steps, out, task, bundles, scale) for task, bundles in exported.items()}
    pictures = steps(
        "Draw boxes, maps, BEV features and masks",
        f"vexkd viz {out}/runs/detection-lidar {out}/runs/detection-distill-lidar …",
        lambda: _draw(out, scale),
    )
    report = {
        "scale": asdict(scale),
        "seed": seed,
        "target": target,
        "seconds": round(time.monotonic() - started, 1),
        "machine": describe_machine().model_dump(),
        "commit": git_commit(),
        "steps": steps.done,
        "results": results,
        "bundles": {
            task: {name: [bundle.manifest.model_dump(mode="json") for bundle in pair] for name, pair in named.items()}
            for task, named in exported.items()
        },
        "bench": bench,
        "inferred": found,
        "pictures": pictures,
    }
    return steps("Write the report", f"open {out}/report.html", lambda: _write(out, report))


def _prepare(out: Path) -> None:
    if out.exists() and any(out.iterdir()):
        if not (out / MARKER).is_file() and not (out / "data").is_dir():
            raise UserError(f"{out} holds something else than an earlier demo; give another --out")
        shutil.rmtree(out)
    out.mkdir(parents=True, exist_ok=True)


def _generate(steps: Steps, data: Path, config: SynthConfig) -> None:
    with Progress(console=steps.console, transient=True) as progress:
        task = progress.add_task("scenes", total=config.scenes)
        generate(data, config, os.cpu_count() or 1, lambda done: progress.update(task, completed=done))


def _train(steps: Steps, out: Path, task: str, name: str, scale: Scale, seed: int) -> dict[str, Any]:
    recipe = Path(vexkd.__file__).parent / "configs" / "demo" / task / f"{name}.yaml"
    run = out / "runs" / f"{task}-{name}"
    settings = [f"data.root={out / 'data'}", f"train.seed={seed}", *scale.overrides]
    if name == "teacher" and "lidar" in scale.recipes[task]:
        # As BEVFusion does: the fusion goes on from a trained LiDAR model.
        settings.append(f"train.init={out / 'runs' / f'{task}-lidar'}")
    if name.startswith("distill-"):
        settings.append(f"distill.teacher={out / 'runs' / f'{task}-teacher'}")
    told = {"teacher": "the teacher", "lidar": "a plain LiDAR student", "camera": "a plain camera student"}
    title = told.get(name) or f"a distilled {SENSORS[name.removeprefix('distill-')]} student"
    return steps(
        f"Train {title} for {task}",
        " ".join([f"vexkd train configs/demo/{task}/{name}.yaml", *(f"--set {s}" for s in settings), f"--out {run}"]),
        lambda: train(load_config(recipe, settings), run),
    )


def _export(steps: Steps, out: Path, task: str, name: str, target: str) -> tuple[Bundle, Bundle]:
    run = out / "runs" / f"{task}-{name}"
    # Without nvcc the demo goes its way all the same: the engines build, and say that they cannot run.
    cpu_only = not has_gpu_code(find_target(target))
    words = f"vexkd export {run} --target {target}{' --cpu-only' if cpu_only else ''}"

    def export() -> tuple[Bundle, Bundle]:
        with steps.console.status("") as status:
            fp32, fp16 = (
                export_run(
                    run,
                    out / "bundles" / f"{task}-{name}-{precision}.vexkd",
                    precision,
                    [target],
                    cpu_only=cpu_only,
                    progress=status.update,
                )
                for precision in PRECISIONS
            )
        return read_bundle(fp32), read_bundle(fp16)

    return steps(
        f"Export {task}-{name} and build its engines",
        f"{words}; {words} --fp16",
        export,
    )


def _bench(steps: Steps, bundles: dict[str, tuple[Bundle, Bundle]], scale: Scale) -> dict[str, Any]:
    teacher = bundles["teacher"][0] if "teacher" in bundles else None
    students = [pair[0] for name, pair in bundles.items() if name != "teacher"]
    count = (len(students) + (teacher is not None)) * (scale.repeats + 3)

    def measure() -> dict[str, Any]:
        with Progress(console=steps.console, transient=True) as progress:
            task = progress.add_task("measuring", total=count)
            return bench_bundles(
                students, teacher, "auto", scale.repeats, 3, advance=lambda: progress.advance(task)
            ).model_dump(mode="json")

    against = f" --against {teacher.path}" if teacher else ""
    return steps("Benchmark", f"vexkd bench {' '.join(str(b.path) for b in students)}{against}", measure)


def _infer(
    steps: Steps, out: Path, task: str, bundles: dict[str, tuple[Bundle, Bundle]], scale: Scale
) -> dict[str, str]:
    def infer() -> dict[str, str]:
        folders = {}
        for name, (bundle, _) in bundles.items():
            folder = out / "infer" / f"{task}-{name}"
            frames, _ = open_frames(bundle, out / "data", "val", scale.pictures)
            run_frames(Pipeline(bundle), frames, folder, pictures=True)
            folders[name] = str(folder.relative_to(out))
        return folders

    return steps(
        f"Run the {task} bundles on keyframes",
        f"vexkd infer {next(iter(bundles.values()))[0].path} --data {out / 'data'} --split val",
        infer,
    )


def _draw(out: Path, scale: Scale) -> dict[str, list[str]]:
    pictures: dict[str, list[str]] = {}
    for task, names in scale.recipes.items():
        for sensor in ("lidar", "camera"):
            group = [name for name in (sensor, f"distill-{sensor}", "teacher") if name in names]
            if sensor in names:
                runs = [out / "runs" / f"{task}-{name}" for name in group]
                drawn = draw_runs(runs, out / "data", "val", scale.pictures, out / "pictures" / f"{task}-{sensor}")
                pictures[f"{task}-{sensor}"] = [path.relative_to(out).as_posix() for path in drawn]
    return pictures


def _write(out: Path, report: dict[str, Any]) -> Path:
    write_text(out / MARKER, json.dumps(report, indent=2) + "\n")
    return write_report(report, out)
