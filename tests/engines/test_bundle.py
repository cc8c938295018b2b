"""Bundles are verified before they are used: every change is noticed, and the message says what to do."""

import json
from pathlib import Path

import pytest
from tiny_bundles import make_bundle

from vexkd.engines.bundle import read_bundle, write_manifest
from vexkd.engines.manifest import MANIFEST, MODEL
from vexkd.plugins.errors import UserError


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    return make_bundle(tmp_path / "student.vexkd").path


def rewrite(bundle: Path, **changes: object) -> None:
    content = json.loads((bundle / MANIFEST).read_text())
    (bundle / MANIFEST).write_text(json.dumps(content | changes, indent=2) + "\n")


def test_a_bundle_reads_as_written(bundle: Path) -> None:
    read = read_bundle(bundle)
    assert read.name == "student"
    assert read.manifest.task == "detection"
    assert read.manifest == write_manifest(bundle, read.manifest)


def test_selection_says_how_for_every_class(bundle: Path) -> None:
    rule = {"group": 0, "suppression": "rotated", "limit": 0.2, "scale": 1.0}
    rewrite(bundle, selection={"score_threshold": 0.1, "classes": [rule]})
    with pytest.raises(UserError, match="selection is for 1 classes, the model has 2"):
        read_bundle(bundle)


def test_a_changed_model_is_refused_with_the_mending_command(bundle: Path) -> None:
    model = bundle / MODEL
    content = bytearray(model.read_bytes())
    content[len(content) // 2] ^= 1
    model.write_bytes(content)
    with pytest.raises(UserError, match=r"model\.onnx was changed.*vexkd export runs/by-hand --out .*student\.vexkd"):
        read_bundle(bundle)


def test_any_changed_byte_of_the_manifest_is_refused(bundle: Path) -> None:
    manifest = bundle / MANIFEST
    whole = manifest.read_bytes()
    for position in range(0, len(whole), 37):
        changed = bytearray(whole)
        changed[position] ^= 1
        manifest.write_bytes(changed)
        with pytest.raises(UserError):
            read_bundle(bundle)
    manifest.write_bytes(whole)
    read_bundle(bundle)


def test_a_missing_file_is_refused(bundle: Path) -> None:
    (bundle / MODEL).unlink()
    with pytest.raises(UserError, match=r"model\.onnx is missing.*vexkd export runs/by-hand"):
        read_bundle(bundle)


def test_a_manifest_from_the_future_is_refused(bundle: Path) -> None:
    rewrite(bundle, schema_version=5, something_new=True)
    with pytest.raises(UserError, match=r"schema 5, this VeXKD reads 4.*newer.*pip install --upgrade"):
        read_bundle(bundle)


@pytest.mark.parametrize("version", [3, 2, 1, 0, -1])
def test_a_manifest_from_the_past_is_refused(bundle: Path, version: int) -> None:
    rewrite(bundle, schema_version=version)
    with pytest.raises(UserError, match=r"export the run again with: vexkd export RUN --out"):
        read_bundle(bundle)


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"schema_version": "1"}', '{"schema_version": true}', "\xff"])
def test_what_is_no_manifest_is_refused(bundle: Path, text: str) -> None:
    (bundle / MANIFEST).write_bytes(text.encode("latin-1"))
    with pytest.raises(UserError, match=r"manifest\.json"):
        read_bundle(bundle)


@pytest.mark.parametrize("path", ["no-such-folder", "."])
def test_what_is_no_bundle_is_refused(tmp_path: Path, path: str) -> None:
    with pytest.raises(UserError, match="is no bundle"):
        read_bundle(tmp_path / path)


@pytest.mark.parametrize("name", ["../secret", "/etc/passwd", "a/b", "..", ".hidden", "", "manifest.json", "a\\b"])
def test_a_file_name_that_leaves_the_bundle_is_refused(bundle: Path, name: str) -> None:
    manifest = read_bundle(bundle).manifest
    write_manifest(bundle, manifest.model_copy(update={"files": {**manifest.files, name: "0" * 64}}))
    with pytest.raises(UserError, match="no plain file name"):
        read_bundle(bundle)


def test_a_link_that_leaves_the_bundle_is_refused(bundle: Path, tmp_path: Path) -> None:
    (bundle / MODEL).rename(tmp_path / MODEL)
    (bundle / MODEL).symlink_to(tmp_path / MODEL)
    with pytest.raises(UserError, match="link that leaves the bundle"):
        read_bundle(bundle)


def test_unknown_keys_and_broken_sections_are_refused(bundle: Path) -> None:
    manifest = read_bundle(bundle).manifest
    write_manifest(bundle, manifest.model_copy(update={"points": None}))
    with pytest.raises(UserError, match="points belongs to a model with a lidar"):
        read_bundle(bundle)
    write_manifest(bundle, manifest.model_copy(update={"files": {}}))
    with pytest.raises(UserError, match=r"model\.onnx not listed"):
        read_bundle(bundle)
    write_manifest(bundle, manifest)
    rewrite(bundle, colour="red")
    with pytest.raises(UserError, match="colour"):
        read_bundle(bundle)
