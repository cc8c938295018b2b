"""Engines added to a bundle that is there, which stays whole whatever happens."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from vexkd.engines.bundle import read_bundle, write_manifest
from vexkd.engines.manifest import MANIFEST, MODEL, PLUGIN_LIBRARY, Manifest
from vexkd.engines.tensorrt_flavour import is_installed
from vexkd.export import add_engine, engine_build
from vexkd.export.add_engine import add_engines
from vexkd.plugins.errors import UserError
from vexkd.plugins.files import sha256

pytestmark = pytest.mark.skipif(not is_installed("tensorrt_rtx"), reason="tensorrt-rtx is not installed")


@pytest.fixture
def bundle(exported, tmp_path: Path) -> Path:  # type: ignore[no-untyped-def]
    """A bundle with an engine for an RTX 4090, and a file of the user's in it."""
    path = tmp_path / "a.vexkd"
    shutil.copytree(exported("lidar", "detection", "fp16")[1], path)
    (path / "notes.txt").write_text("mine")
    return path


def without_engines(path: Path) -> None:
    manifest = read_bundle(path).manifest
    files = {MODEL: manifest.files[MODEL]}
    write_manifest(path, manifest.model_copy(update={"engines": (), "files": files}))
    (path / "rtx4090.engine").unlink()
    (path / PLUGIN_LIBRARY).unlink()


def content(path: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in path.iterdir()}


def test_engines_are_added_beside_those_that_are_there(bundle: Path) -> None:
    before, model = read_bundle(bundle).manifest, (bundle / MODEL).stat()
    after = add_engines(bundle, ["rtx3090", "sm120"], cpu_only=True).manifest
    assert [(e.target, e.compute_capability) for e in after.engines] == [
        ("rtx4090", "8.9"),
        ("rtx3090", "8.6"),
        ("sm120", "12.0"),
    ]
    assert after.engines[0] == before.engines[0]
    assert set(after.files) == {*before.files, "rtx3090.engine", "sm120.engine"}
    assert after.model_copy(update={"engines": (), "files": {}, "sha256": before.sha256}) == before.model_copy(
        update={"engines": (), "files": {}}
    )
    assert after.sha256 != before.sha256 and (bundle / "notes.txt").read_text() == "mine"
    assert (bundle / MODEL).stat().st_mtime_ns == model.st_mtime_ns
    assert read_bundle(bundle).manifest == after


@pytest.mark.parametrize("kind", ["lidar", "camera"])
def test_the_rtx_builder_builds_for_every_card_it_knows_without_one(exported, tmp_path, kind: str) -> None:  # type: ignore[no-untyped-def]
    path = tmp_path / "a.vexkd"
    shutil.copytree(exported(kind, "detection", "fp16")[1], path)
    names = {"rtx3090", "rtx5090", "a100", "l4", "sm121"} | ({"rtx2080ti"} if kind == "camera" else set())
    engines = add_engines(path, sorted(names), cpu_only=True).manifest.engines
    assert {engine.target for engine in engines} == names
    assert all(engine.plugin_layers >= 1 and "fp16" in engine.layers for engine in engines)


def test_turing_has_no_fp32_products_of_matrices_and_the_builder_says_so(bundle: Path) -> None:
    """The point MLP stays in FP32; TensorRT for RTX has no such kernel for compute capability 7.5."""
    before = content(bundle)
    with pytest.raises(UserError, match=r"for rtx2080ti: .*\(SM75\): FP32 GEMM is not supported.*rtx2080ti\.log"):
        add_engines(bundle, ["rtx3090", "rtx2080ti"], cpu_only=True)
    assert content(bundle) == before


@pytest.mark.parametrize("name", ["orin", "thor", "h100"])
def test_what_full_tensorrt_alone_builds_is_said_in_one_line(bundle: Path, name: str) -> None:
    with pytest.raises(UserError, match=rf"cannot build for {name} .*; full TensorRT can, on a machine with such"):
        add_engines(bundle, [name], cpu_only=True)


def test_an_engine_of_the_same_capability_is_replaced(bundle: Path) -> None:
    after = add_engines(bundle, ["l4"], cpu_only=True)
    (engine,) = after.manifest.engines
    assert (engine.target, engine.file) == ("l4", "l4.engine") and not (bundle / "rtx4090.engine").exists()
    (engine,) = add_engines(bundle, ["l4"], cpu_only=True).manifest.engines
    assert engine.file == "l4-2.engine" and not (bundle / "l4.engine").exists()
    (engine,) = add_engines(bundle, ["8.9"], cpu_only=True).manifest.engines
    assert engine.file == "sm89.engine"
    assert set(content(bundle)) == {MANIFEST, MODEL, PLUGIN_LIBRARY, "sm89.engine", "notes.txt"}


def test_a_bundle_without_engines_gets_the_library_with_the_first(bundle: Path) -> None:
    without_engines(bundle)
    manifest = add_engines(bundle, ["rtx3090"], cpu_only=True).manifest
    assert PLUGIN_LIBRARY in manifest.files and manifest.engines[0].file == "rtx3090.engine"


@pytest.mark.parametrize("failing", ["build_engine", "write_manifest"])
def test_a_bundle_stays_whole_where_something_fails(
    bundle: Path, failing: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = content(bundle)

    def fail(*_: object) -> None:
        raise UserError("no more")

    monkeypatch.setattr(add_engine, failing, fail)
    with pytest.raises(UserError, match="no more"):
        add_engines(bundle, ["rtx4090", "rtx3090"], cpu_only=True)
    monkeypatch.undo()
    after = content(bundle)
    assert {name: after[name] for name in before} == before
    assert read_bundle(bundle).manifest.engines[0].target == "rtx4090"
    assert add_engines(bundle, ["rtx3090"], cpu_only=True).manifest.engines[1].file == "rtx3090.engine"


def test_the_second_engine_that_fails_adds_none(bundle: Path) -> None:
    before = content(bundle)
    with pytest.raises(UserError, match=r"cannot build for h100 \(compute capability 9\.0\)"):
        add_engines(bundle, ["rtx3090", "h100"], cpu_only=True)
    assert content(bundle) == before


def test_a_library_without_gpu_code_is_refused_with_the_way_out(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine_build, "cuda_architectures", lambda library: ("9.0",))
    before = content(bundle)
    with pytest.raises(
        UserError, match=r"has to be built with the same: .* for 9\.0 only.*vexkd export .* --target rtx3090 --out"
    ) as caught:
        add_engines(bundle, ["rtx3090"])
    assert "lidar-detection --fp16 --target rtx4090 --target rtx3090" in str(caught.value)
    assert content(bundle) == before
    without_engines(bundle)
    with pytest.raises(UserError, match=r"was built for 9\.0 only.*--cpu-only$"):
        add_engines(bundle, ["rtx3090"])


def test_a_bundle_of_another_library_cannot_share_a_process(bundle: Path, tmp_path: Path) -> None:
    """One registry takes one version of a plugin; a process of its own, as the command is, builds with the bundle's."""
    other = bundle / PLUGIN_LIBRARY
    other.write_bytes(other.read_bytes() + b"\0")
    manifest = read_bundle_unchecked(bundle)
    digest = sha256(other)
    engines = tuple(e.model_copy(update={"plugin_library_sha256": digest}) for e in manifest.engines)
    files = {**manifest.files, PLUGIN_LIBRARY: digest}
    write_manifest(bundle, manifest.model_copy(update={"engines": engines, "files": files}))
    with pytest.raises(UserError, match="differs from the plugin library that this process already uses"):
        add_engines(bundle, ["rtx3090"], cpu_only=True)
    command = [sys.executable, "-m", "vexkd", "export", str(bundle), "--add-target", "rtx3090", "--cpu-only", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert read_bundle(bundle).manifest.engines[1].plugin_library_sha256 == digest


def read_bundle_unchecked(path: Path):  # type: ignore[no-untyped-def]
    return Manifest.model_validate(json.loads((path / MANIFEST).read_text()))
