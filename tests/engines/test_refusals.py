"""One table of damaged bundles; Python and the C++ runtime refuse each for the same reason, with the same command."""

import copy
import json
import os
import random
import shutil
from collections.abc import Callable
from functools import reduce
from pathlib import Path
from typing import Any

import pytest
from bundle_contents import DETECTION, SEGMENTATION, SENSORS, Content, content, signed, write_bundle
from native_bundles import DAMAGED, INCOMPATIBLE, NO_BUNDLE, OK, verify

from vexkd.engines.bundle import MAX_FILE_BYTES, MAX_MANIFEST_BYTES, read_bundle
from vexkd.engines.manifest import MANIFEST, MODEL, PLUGIN_LIBRARY
from vexkd.plugins.errors import UserError

AGAIN = "export it again with: vexkd export runs/by-hand --fp16 --target rtx4090 --out"
RUN_AGAIN = "export the run again with: vexkd export RUN --out"
MAKE_ONE = "make one with: vexkd export RUN --out"
REMOVED = object()

Damage = Callable[[Path], object]


def python_verdict(path: Path) -> str:
    """What Python's reader says, "" where it takes the bundle."""
    try:
        read_bundle(path)
    except UserError as error:
        return str(error)
    return ""


def assert_refused(path: Path, status: int, reason: str, command: str, place: Path | None = None) -> None:
    found, told = verify(path)
    expected = python_verdict(path)
    for message in (told, expected):
        assert reason in message, f"C++: {told}\nPython: {expected}"
        assert message.endswith(f"{command} {path if place is None else place}"), message
    assert found == status, told


def rewritten(change: Callable[[Content], object], start: Content | None = None) -> Damage:
    """A manifest with a change that was signed as it is."""

    def damage(bundle: Path) -> None:
        manifest = content() if start is None else copy.deepcopy(start)
        change(manifest)
        (bundle / MANIFEST).write_bytes(signed(manifest))

    return damage


def put(place: str, value: Any) -> Callable[[Content], None]:
    """Set, or remove, the value at a place like ``inputs.0.shape``."""

    def change(manifest: Content) -> None:
        *path, last = (int(part) if part.isdigit() else part for part in place.split("."))
        section: Any = reduce(lambda part, key: part[key], path, manifest)
        if value is REMOVED:
            del section[last]
        else:
            section[last] = value

    return change


def text(replaced: str, by: str) -> Damage:
    """The manifest's text changed as JSON libraries would not write it."""

    def damage(bundle: Path) -> None:
        old = json.dumps(content(), indent=2)
        assert replaced in old
        (bundle / MANIFEST).write_bytes(signed(old.replace(replaced, by, 1)))

    return damage


def raw(data: bytes) -> Damage:
    return lambda bundle: (bundle / MANIFEST).write_bytes(data)


def flip(name: str) -> Damage:
    def damage(bundle: Path) -> None:
        data = bytearray((bundle / name).read_bytes())
        data[len(data) // 2] ^= 1
        (bundle / name).write_bytes(data)

    return damage


def linked(name: str, there: bool = True) -> Damage:
    """The file lies outside, and a link to it inside."""

    def damage(bundle: Path) -> None:
        (bundle / name).rename(bundle.parent / "outside")
        (bundle / name).symlink_to("../outside" if there else name)

    return damage


def pipe(name: str) -> Damage:
    def damage(bundle: Path) -> None:
        (bundle / name).unlink()
        os.mkfifo(bundle / name)

    return damage


def folder(name: str) -> Damage:
    def damage(bundle: Path) -> None:
        (bundle / name).unlink()
        (bundle / name).mkdir()

    return damage


def emptied(bundle: Path) -> None:
    shutil.rmtree(bundle)
    bundle.mkdir()


def replaced_by_a_file(bundle: Path) -> None:
    shutil.rmtree(bundle)
    bundle.write_bytes(b"")


FILE_CASES: dict[str, tuple[Damage, int, str, str]] = {
    "changed model": (flip(MODEL), DAMAGED, f"{MODEL} was changed: its sha256 begins", AGAIN),
    "changed engine": (flip("rtx4090.engine"), DAMAGED, "rtx4090.engine was changed: its sha256", AGAIN),
    "truncated library": (
        lambda b: os.truncate(b / PLUGIN_LIBRARY, 99),
        DAMAGED,
        f"{PLUGIN_LIBRARY} was changed: its sha256 begins",
        AGAIN,
    ),
    "empty model": (lambda b: os.truncate(b / MODEL, 0), DAMAGED, "its sha256 begins e3b0c44298fc", AGAIN),
    "too large model": (
        lambda b: os.truncate(b / MODEL, MAX_FILE_BYTES + 1),
        DAMAGED,
        f"{MODEL} was changed: it has more than 2147483647 bytes",
        AGAIN,
    ),
    "missing model": (lambda b: (b / MODEL).unlink(), DAMAGED, f"{MODEL} is missing from the bundle", AGAIN),
    "folder as model": (folder(MODEL), DAMAGED, f"{MODEL} is missing from the bundle", AGAIN),
    "pipe as model": (pipe(MODEL), DAMAGED, f"{MODEL} is missing from the bundle", AGAIN),
    "model linked out": (linked(MODEL), DAMAGED, f"{MODEL} is a link that leaves the bundle", AGAIN),
    "model linked to itself": (linked(MODEL, there=False), DAMAGED, f"{MODEL} is missing from the bundle", AGAIN),
    "manifest linked out": (linked(MANIFEST), DAMAGED, f"{MANIFEST} is a link that leaves the bundle", RUN_AGAIN),
    "no such folder": (shutil.rmtree, NO_BUNDLE, "is no bundle: it has no manifest.json", MAKE_ONE),
    "empty folder": (emptied, NO_BUNDLE, "is no bundle: it has no manifest.json", MAKE_ONE),
    "file for a folder": (replaced_by_a_file, NO_BUNDLE, "is no bundle: it has no manifest.json", MAKE_ONE),
    "pipe as manifest": (pipe(MANIFEST), NO_BUNDLE, "is no bundle: it has no manifest.json", MAKE_ONE),
    "folder as manifest": (folder(MANIFEST), NO_BUNDLE, "is no bundle: it has no manifest.json", MAKE_ONE),
}

JSON = "is not valid JSON"
TWICE = '"precision": "fp16", "precision": "fp16"'
TEXT_CASES: dict[str, tuple[Damage, str]] = {
    "empty": (raw(b""), JSON),
    "half": (raw(b'{"schema_version": 4'), JSON),
    "Latin-1": (raw(b'{"schema_version": 4, "task": "\xff"}'), JSON),
    "overlong UTF-8": (raw(b'{"schema_version": 4, "task": "\xc0\xaf"}'), JSON),
    "surrogate in UTF-8": (raw(b'{"schema_version": 4, "task": "\xed\xa0\x80"}'), JSON),
    "byte order mark": (lambda b: (b / MANIFEST).write_bytes(b"\xef\xbb\xbf" + (b / MANIFEST).read_bytes()), JSON),
    "zero byte at the end": (lambda b: (b / MANIFEST).write_bytes((b / MANIFEST).read_bytes() + b"\0"), JSON),
    "two documents": (lambda b: (b / MANIFEST).write_bytes((b / MANIFEST).read_bytes() * 2), JSON),
    "comment": (text('"task"', '/* what */ "task"'), JSON),
    "NaN": (text('"cell": 1.0', '"cell": NaN'), JSON),
    "Infinity": (text('"cell": 1.0', '"cell": Infinity'), JSON),
    "minus Infinity": (text('"cell": 1.0', '"cell": -Infinity'), JSON),
    "1e999": (text('"cell": 1.0', '"cell": 1e999'), JSON),
    "400 digits": (text('"height": 8', f'"height": {"9" * 400}'), JSON),
    "5000 digits": (text('"height": 8', f'"height": {"9" * 5000}'), JSON),
    "half of a pair": (text('"FRONT"', '"\\ud800"'), JSON),
    "deep nesting": (raw(b"[" * 100_000 + b"]" * 100_000), JSON),
    "deep objects": (raw(b'{"a":' * 100_000 + b"1" + b"}" * 100_000), JSON),
    "key twice": (text('"precision": "fp16"', TWICE), "precision is listed twice"),
    "inner key twice": (text('"cell": 1.0', '"cell": 1.0, "cell": 2.0'), "cell is listed twice"),
    "file twice": (text(f'"{MODEL}": "', f'"{MODEL}": "", "{MODEL}": "'), f"{MODEL} is listed twice"),
    "huge": (raw(b" " * (MAX_MANIFEST_BYTES + 1)), "has more than 1048576 bytes, so it is no manifest"),
    "list": (raw(b"[]"), "names no schema version, so it is no bundle's manifest"),
    "nothing": (raw(b"{}"), "names no schema version"),
    "word as version": (raw(b'{"schema_version": "4"}'), "names no schema version"),
    "truth as version": (raw(b'{"schema_version": true}'), "names no schema version"),
    "fraction as version": (raw(b'{"schema_version": 4.0}'), "names no schema version"),
}

OBJECT = "Input should be a valid dictionary or instance of "
# Place in the manifest, what is put there, and the reason.
VALUE_CASES: list[tuple[str, Any, str]] = [
    ("colour", "red", "colour: Extra inputs are not permitted"),
    ("grid.colour", "red", "grid.colour: Extra inputs are not permitted"),
    ("inputs.0.colour", "red", "inputs.0.colour: Extra inputs are not permitted"),
    ("camera.colour", 1, "camera.colour: Extra inputs are not permitted"),
    ("points.colour", 1, "points.colour: Extra inputs are not permitted"),
    ("selection.colour", 1, "selection.colour: Extra inputs are not permitted"),
    ("source.colour", 1, "source.colour: Extra inputs are not permitted"),
    ("parity.colour", 1, "parity.colour: Extra inputs are not permitted"),
    ("parity.boxes.colour", 1, "parity.boxes.colour: Extra inputs are not permitted"),
    ("parity.outputs.scores.colour", 1, "parity.outputs.scores.colour: Extra inputs are not permitted"),
    ("accuracy.colour", 1, "accuracy.colour: Extra inputs are not permitted"),
    ("accuracy.metrics.mAP.colour", 1, "accuracy.metrics.mAP.colour: Extra inputs are not permitted"),
    ("cost.colour", 1, "cost.colour: Extra inputs are not permitted"),
    ("engines.0.colour", 1, "engines.0.colour: Extra inputs are not permitted"),
    ("grid.height", REMOVED, "grid.height: Field required"),
    ("camera", REMOVED, "camera: Field required"),
    ("source.git_commit", REMOVED, "source.git_commit: Field required"),
    ("files", REMOVED, "files: Field required"),
    ("grid", None, f"grid: {OBJECT}Grid"),
    ("camera", [], f"camera: {OBJECT}CameraInput"),
    ("inputs.0", 1, f"inputs.0: {OBJECT}Tensor"),
    ("inputs", {}, "inputs: Input should be a valid tuple"),
    ("files", [], "files: Input should be a valid dictionary"),
    ("task", "dancing", "task: Input should be 'detection' or 'segmentation'"),
    ("task", 1, "task: Input should be 'detection' or 'segmentation'"),
    ("precision", "int8", "precision: Input should be 'fp32' or 'fp16'"),
    ("sensors.0", "radar", "sensors.0: Input should be 'camera' or 'lidar'"),
    ("sensors", [], "sensors must be camera, lidar or both, in this order"),
    ("sensors", ["lidar", "camera"], "sensors must be camera, lidar or both, in this order"),
    ("sensors", ["camera"], "the section points belongs to a model with a lidar, and only there"),
    ("sensors", ["lidar"], "the section camera belongs to a model with a camera, and only there"),
    ("camera", None, "the section camera belongs to a model with a camera, and only there"),
    ("points", None, "the section points belongs to a model with a lidar, and only there"),
    ("selection", None, "the section selection belongs to detection, and only there"),
    ("grid.height", -8, "grid.height: Input should be greater than or equal to 1"),
    ("grid.height", 0, "grid.height: Input should be greater than or equal to 1"),
    ("grid.height", 2**31, "grid.height: Input should be less than or equal to 2147483647"),
    ("grid.height", 2**64 - 1, "grid.height: Input should be less than or equal to 2147483647"),
    ("grid.height", -(2**63), "grid.height: Input should be greater than or equal to 1"),
    ("grid.height", "8", "grid.height: Input should be a valid integer"),
    ("grid.height", 8.0, "grid.height: Input should be a valid integer"),
    ("grid.height", True, "grid.height: Input should be a valid integer"),
    ("grid.height", None, "grid.height: Input should be a valid integer"),
    ("grid.height", 9, "grid: height and width are 9 and 16, but x, y and cell make 8 and 16"),
    ("grid.cell", 0.5, "grid: height and width are 8 and 16, but x, y and cell make 16 and 32"),
    ("grid.cell", 0, "grid: x, y, z and cell make no grid"),
    ("grid.cell", -1.0, "grid: x, y, z and cell make no grid"),
    ("grid.cell", "1", "grid.cell: Input should be a valid number"),
    ("grid.cell", True, "grid.cell: Input should be a valid number"),
    ("grid.cell", 1e300, "grid.cell: Input should be less than or equal to 1048576"),
    ("grid.x", [8, -8], "grid: x, y, z and cell make no grid"),
    ("grid.z", [3, 3], "grid: x, y, z and cell make no grid"),
    ("grid.x.0", -1e7, "grid.x.0: Input should be greater than or equal to -1048576"),
    ("grid.x", [1], "grid.x.1: Field required"),
    ("grid.x", [1, 2, 3], "grid.x: Tuple should have at most 2 items after validation, not 3"),
    ("grid.x", "ab", "grid.x: Input should be a valid tuple"),
    ("classes", ["car", "car"], "classes: car is listed twice"),
    ("classes", [], "classes: Tuple should have at least 1 item after validation, not 0"),
    ("classes", ["car"], "selection is for 2 classes, the model has 1"),
    ("classes.0", 1, "classes.0: Input should be a valid string"),
    ("classes.0", "a\nb", "classes.0: holds a control character"),
    ("classes.0", "a\0b", "classes.0: holds a control character"),
    ("camera.cameras", ["FRONT", "FRONT"], "camera.cameras: FRONT is listed twice"),
    ("camera.cameras", ["FRONT"], "inputs are images uint8 [2, 48, 80, 3], "),
    ("camera.raw_size.1", 79, "but task and sections make them images uint8 [2, 48, 79, 3], "),
    ("camera.feature_size", [4, 9], "camera: feature_size is [4, 9], but image_size and stride make [4, 8]"),
    ("camera.stride", 0, "camera.stride: Input should be greater than or equal to 1"),
    ("camera.depths", [], "camera.depths: Tuple should have at least 1 item after validation, not 0"),
    ("camera.depths.0", -1, "camera.depths.0: Input should be greater than or equal to 0"),
    ("camera.z", [10, -10], "camera: z is no range of heights"),
    (
        "points.capacity",
        511,
        "but task and sections make them images uint8 [2, 48, 80, 3], rays float32 [2, 3, 3],",
    ),
    ("points.capacity", 0, "points.capacity: Input should be greater than or equal to 1"),
    ("points.sweeps", -1, "points.sweeps: Input should be greater than or equal to 0"),
    ("points.own_vehicle", -1, "points.own_vehicle: Input should be greater than or equal to 0"),
    ("points.columns", ["y", "x"], "points.columns: must be x, y, z, intensity, age, got y, x"),
    ("selection.score_threshold", 1.5, "selection.score_threshold: Input should be less than or equal to 1"),
    ("selection.classes", {}, "selection.classes: Input should be a valid tuple"),
    ("selection.classes", [], "selection is for 0 classes, the model has 2"),
    ("selection.classes.0", None, f"selection.classes.0: {OBJECT}ClassSelection"),
    ("selection.classes.0.colour", 1, "selection.classes.0.colour: Extra inputs are not permitted"),
    ("selection.classes.0.group", -2, "selection.classes.0.group: Input should be greater than or equal to -1"),
    ("selection.classes.0.group", 2**31, "selection.classes.0.group: Input should be less than or equal to 2147483647"),
    ("selection.classes.0.group", -1, "selection: group -1 has scaled and circle classes"),
    (
        "selection.classes.0.suppression",
        "square",
        "selection.classes.0.suppression: Input should be 'circle', 'rotated' or 'scaled'",
    ),
    ("selection.classes.0.suppression", "circle", "selection.classes.0: scale must be 1 where suppression is circle"),
    ("selection.classes.0.suppression", "rotated", "selection.classes.0: scale must be 1 where suppression is rotated"),
    ("selection.classes.1.scale", 2, "selection.classes.1: scale must be 1 where suppression is circle"),
    ("selection.classes.0.limit", 1.5, "selection.classes.0: limit is an intersection over union, which is 1 at most"),
    ("selection.classes.1.limit", -1, "selection.classes.1.limit: Input should be greater than or equal to 0"),
    ("selection.classes.1.limit", REMOVED, "selection.classes.1.limit: Field required"),
    ("selection.classes.0.scale", "1", "selection.classes.0.scale: Input should be a valid number"),
    ("source.run", 1, "source.run: Input should be a valid string"),
    ("source.weights_sha256", "1", "source.weights_sha256: String should match pattern '^[0-9a-f]{64}$'"),
    ("source.git_commit", 1, "source.git_commit: Input should be a valid string"),
    ("parity.boxes.count", -1, "parity.boxes.count: Input should be greater than or equal to 0"),
    ("parity.outputs.scores.max_abs", "0", "parity.outputs.scores.max_abs: Input should be a valid number"),
    ("accuracy", REMOVED, "accuracy: Field required"),
    ("accuracy", 1, f"accuracy: {OBJECT}Accuracy"),
    ("accuracy.frames", 0, "accuracy.frames: Input should be greater than or equal to 1"),
    ("accuracy.available", 2.0, "accuracy.available: Input should be a valid integer"),
    ("accuracy.split", None, "accuracy.split: Input should be a valid string"),
    ("accuracy.metrics", [], "accuracy.metrics: Input should be a valid dictionary"),
    ("accuracy.metrics.mAP", 0.5, f"accuracy.metrics.mAP: {OBJECT}Metric"),
    ("accuracy.metrics.mAP.bundle", REMOVED, "accuracy.metrics.mAP.bundle: Field required"),
    ("accuracy.metrics.mAP.reference", True, "accuracy.metrics.mAP.reference: Input should be a valid number"),
    ("accuracy.metrics.mAP.limit", -1, "accuracy.metrics.mAP.limit: Input should be greater than or equal to 0"),
    ("accuracy.passed", 1, "accuracy.passed: Input should be a valid boolean"),
    ("accuracy.accepted", "no", "accuracy.accepted: Input should be a valid boolean"),
    ("cost.gflops_by_operator.Mul", "0", "cost.gflops_by_operator.Mul: Input should be a valid number"),
    ("cost.stages", REMOVED, "cost.stages: Field required"),
    ("cost.stages.0.colour", 1, "cost.stages.0.colour: Extra inputs are not permitted"),
    ("cost.stages.0.megabytes", -1, "cost.stages.0.megabytes: Input should be greater than or equal to 0"),
    ("cost.stages.0.gmacs.float16", "1", "cost.stages.0.gmacs.float16: Input should be a valid number"),
    ("cost.stages.0.kernel_megabytes", 3.0, "cost.stages.0.kernel_megabytes: Input should be a valid tuple"),
    ("cost.stages.0.kernel_megabytes.1", True, "cost.stages.0.kernel_megabytes.1: Input should be a valid number"),
    ("cost.stages.0.launches", 0.5, "cost.stages.0.launches: Input should be a valid integer"),
    ("cost.stages.0", 1, f"cost.stages.0: {OBJECT}StageCost"),
    ("cost.parameters", -1, "cost.parameters: Input should be greater than or equal to 0"),
    ("inputs.0.shape.0", 0, "inputs.0.shape.0: Input should be greater than or equal to 1"),
    ("inputs.0.shape", [2**16, 2**16], "inputs.0: more than 2147483647 elements"),
    ("inputs.0.shape", [2**31 - 1] * 40, "inputs.0: more than 2147483647 elements"),
    ("inputs.0.shape", [], "inputs are images uint8 [], rays float32 [2, 3, 3]"),
    ("inputs.0.dtype", "float16", "inputs.0.dtype: Input should be 'uint8', 'int32' or 'float32'"),
    ("inputs.0.dtype", "float32", "inputs are images float32 [2, 48, 80, 3], "),
    ("inputs.0.name", "pictures", "inputs are pictures uint8 [2, 48, 80, 3], "),
    ("inputs", [], "inputs are none, but task and sections make them images uint8 [2, 48, 80, 3], "),
    ("inputs.4", REMOVED, "points float32 [512, 5], but task and sections make them images"),
    ("outputs", [], "outputs are none, but task and sections make them boxes float32 [1, 9], scores float32 [1], "),
    ("outputs.0.shape.1", 7, "but task and sections make them boxes float32 [4, 9], "),
    ("outputs.1.shape.0", 5, "scores float32 [5], labels int32 [4], but task and sections make them boxes"),
    ("outputs.2.dtype", "float32", "labels float32 [4], but task and sections make them boxes"),
    ("engines.0.flavour", "cuda", "engines.0.flavour: Input should be 'tensorrt' or 'tensorrt_rtx'"),
    ("engines.0.plugin_layers", -1, "engines.0.plugin_layers: Input should be greater than or equal to 0"),
    ("engines.0.gpu_code", REMOVED, "engines.0.gpu_code: Field required"),
    ("engines.0.gpu_code", 1, "engines.0.gpu_code: Input should be a valid boolean"),
    ("engines.0.layers", [], "engines.0.layers: Input should be a valid dictionary"),
    ("engines.0.layers.fp16", 1, "engines.0.layers.fp16: Input should be a valid dictionary"),
    ("engines.0.layers.fp16.correlation", -1, "engines.0.layers.fp16.correlation: Input should be greater than or"),
    ("engines.0.size", 2**63, "engines.0.size: Input should be less than or equal to 9223372036854775807"),
    ("engines.0.activation_bytes", "1", "engines.0.activation_bytes: Input should be a valid integer"),
    ("engines.0.weight_bytes", REMOVED, "engines.0.weight_bytes: Field required"),
    ("nodes", None, "nodes: Input should be a valid dictionary"),
    ("nodes.fp16.Conv", 0.5, "nodes.fp16.Conv: Input should be a valid integer"),
    ("engines.0.file", "other.engine", "other.engine not listed in files"),
    ("engines.0.plugin_library_sha256", "1" * 64, "rtx4090.engine was built with another plugin library than the one"),
    ("files", {}, f"{MODEL}, rtx4090.engine, {PLUGIN_LIBRARY} not listed in files"),
    *(
        (f"files:{name}", "0" * 64, f"files: '{name}' is no plain file name inside the bundle")
        for name in ("../secret", "/etc/passwd", "a/b", "..", ".hidden", "", "manifest.json", "ä", "a b", "a" * 256)
    ),
    (f"files:{MODEL}", "ABC", f"files: {MODEL} has a malformed sha256 'ABC'"),
    (f"files:{MODEL}", 1, f"files.{MODEL}: Input should be a valid string"),
    ("sha256", "A" * 64, "sha256: String should match pattern '^[0-9a-f]{64}$'"),
    ("sha256", 1, "sha256: Input should be a valid string"),
]


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    return write_bundle(tmp_path / "student.vexkd")


@pytest.mark.parametrize("sensors", SENSORS, ids="-".join)
@pytest.mark.parametrize("task", [DETECTION, SEGMENTATION])
def test_sound_bundles_are_taken(tmp_path: Path, task: str, sensors: tuple[str, ...]) -> None:
    path = write_bundle(tmp_path / "student.vexkd", content(task, sensors))
    assert python_verdict(path) == ""
    assert verify(path) == (OK, "")


@pytest.mark.parametrize("case", FILE_CASES)
def test_damaged_folders_are_refused(bundle: Path, case: str) -> None:
    damage, status, reason, command = FILE_CASES[case]
    damage(bundle)
    assert_refused(bundle, status, reason, command)


@pytest.mark.parametrize("case", TEXT_CASES)
def test_what_is_no_manifest_is_refused(bundle: Path, case: str) -> None:
    damage, reason = TEXT_CASES[case]
    damage(bundle)
    assert_refused(bundle, DAMAGED, reason, RUN_AGAIN)


@pytest.mark.parametrize(("place", "value", "reason"), VALUE_CASES, ids=[case[2][:40] for case in VALUE_CASES])
def test_damaged_manifests_are_refused(bundle: Path, place: str, value: Any, reason: str) -> None:
    section, _, name = place.partition(":")
    change = (lambda manifest: manifest[section].update({name: value})) if ":" in place else put(place, value)
    rewritten(change)(bundle)
    assert_refused(bundle, DAMAGED, reason, RUN_AGAIN)
    assert verify(bundle)[1] == python_verdict(bundle), "one damage, one message"


@pytest.mark.parametrize("version", [5, 2**40])
def test_a_manifest_of_a_newer_schema_is_refused(bundle: Path, version: int) -> None:
    rewritten(put("schema_version", version))(bundle)
    reason = f"schema {version}, this VeXKD reads 4: it was written by a newer one; update with: pip install --upgrade"
    assert reason in python_verdict(bundle)
    assert verify(bundle) == (INCOMPATIBLE, python_verdict(bundle))


@pytest.mark.parametrize("version", [3, 0, -1])
def test_a_manifest_of_an_older_schema_is_refused(bundle: Path, version: int) -> None:
    rewritten(put("schema_version", version))(bundle)
    assert_refused(bundle, INCOMPATIBLE, f"has manifest schema {version}, this VeXKD reads 4", RUN_AGAIN)


def test_an_accepted_loss_is_accepted_again(bundle: Path) -> None:
    rewritten(put("accuracy.accepted", True))(bundle)
    (bundle / MODEL).unlink()
    again = AGAIN.replace("--fp16", "--fp16 --accept")
    assert_refused(bundle, DAMAGED, f"{MODEL} is missing from the bundle", again)


def test_a_change_of_any_byte_of_the_manifest_is_refused(bundle: Path) -> None:
    whole = (bundle / MANIFEST).read_bytes()
    for position in range(len(whole)):
        changed = bytearray(whole)
        changed[position] ^= 1 << position % 8
        (bundle / MANIFEST).write_bytes(changed)
        status, told = verify(bundle)
        assert status in (DAMAGED, INCOMPATIBLE) and str(bundle) in told, (position, told)
        if position % 37 == 0:
            assert python_verdict(bundle)
    (bundle / MANIFEST).write_bytes(whole)
    assert verify(bundle) == (OK, "")


def test_files_that_are_not_listed_are_nobodys_business(bundle: Path) -> None:
    (bundle / "notes.txt").write_text("mine")
    (bundle / "link.txt").symlink_to("/etc/hostname")
    assert python_verdict(bundle) == ""
    assert verify(bundle) == (OK, "")


def test_links_inside_the_bundle_and_to_it_are_followed(bundle: Path) -> None:
    (bundle / MODEL).rename(bundle / "kept")
    (bundle / MODEL).symlink_to("kept")
    link = bundle.parent / "current"
    link.symlink_to(bundle.name)
    for path in (bundle, link):
        assert python_verdict(path) == ""
        assert verify(path) == (OK, "")


def test_names_that_are_no_utf8_and_slashes_at_the_end(bundle: Path) -> None:
    path = Path(os.fsdecode(os.fsencode(bundle.parent) + b"/\xff\xfe.vexkd"))
    assert_refused(path, NO_BUNDLE, "is no bundle: it has no manifest.json", MAKE_ONE)
    bundle.rename(path)
    assert python_verdict(path) == ""
    assert verify(path) == (OK, "")
    (path / MODEL).unlink()
    assert_refused(path, DAMAGED, "model.onnx is missing", AGAIN)
    assert verify(Path(f"{path}///"))[1] == python_verdict(path)


def test_a_null_path_is_refused() -> None:
    status, told = verify(None)
    assert (status, told) == (1, "the path of the bundle is null; give the folder NAME.vexkd")


def test_long_and_strange_names_stay_one_bounded_line(bundle: Path) -> None:
    rewritten(put("files", {**content()["files"], "ü\n" * 5000: "0" * 64}))(bundle)
    _, told = verify(bundle)
    assert "\n" not in told and len(told) < 4000 and told.endswith(f"{RUN_AGAIN} {bundle}")


HOSTILE = (None, True, 0, -1, 1, 2**31, 2**63, 0.5, 1e30, "", "a", "\n", [], [[]], [0, 1], {}, {"a": 1})


def places(value: Any, path: str = "") -> list[str]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    below = [place for key, item in items for place in places(item, f"{path}.{key}" if path else str(key))]
    return ([path] if path and "." not in path.rpartition("files.")[2] else []) + below


@pytest.mark.parametrize("sensors", SENSORS, ids="-".join)
def test_both_readers_agree_on_random_manifests(bundle: Path, sensors: tuple[str, ...]) -> None:
    """One value anywhere is another or gone. What C++ says is, word for word, the first that Python says."""
    chosen = random.Random(7)
    for _ in range(400):
        manifest = content(chosen.choice((DETECTION, SEGMENTATION)), sensors)
        place = chosen.choice([place for place in places(manifest) if not place.startswith("files.")])
        put(place, chosen.choice((*HOSTILE, REMOVED)))(manifest)
        (bundle / MANIFEST).write_bytes(signed(manifest))
        (status, told), expected = verify(bundle), python_verdict(bundle)
        assert (status == OK) == (expected == ""), (place, told, expected)
        reason = told.removesuffix(f"; {RUN_AGAIN} {bundle}")
        assert expected.startswith(reason), (place, told, expected)
