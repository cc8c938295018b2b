"""Adds TensorRT engines to a bundle that is there: the run it came from is not needed."""

import shutil
from collections.abc import Callable, Mapping, Sequence
from itertools import count
from pathlib import Path

from vexkd.engines.bundle import Bundle, read_bundle, remake, write_manifest
from vexkd.engines.manifest import PLUGIN_LIBRARY, Engine, Manifest
from vexkd.engines.targets import Target, find_targets
from vexkd.export.builder_log import engine_log
from vexkd.export.engine_build import Build, build_engine, check_gpu_code, choose_flavour
from vexkd.plugins.errors import UserError
from vexkd.plugins.files import replacing, sha256
from vexkd.plugins.library import find_library


def add_engines(
    path: Path, targets: Sequence[str], cpu_only: bool = False, progress: Callable[[str], None] = lambda step: None
) -> Bundle:
    """Build engines for targets and put them into a bundle, which stays whole at every moment.

    An engine of the same capability and flavour of TensorRT is replaced. All are built with the plugin library that the
    bundle carries, or with the installed one if it carries none yet.

    Args:
        path: the bundle.
        targets: as :func:`vexkd.engines.targets.find_target` takes them.
        cpu_only: let engines be built with a library that has no GPU code for them; they never run.
        progress: told what begins.

    Returns:
        The bundle as it is then.

    Raises:
        UserError: see :func:`read_bundle` and :func:`build_engine`; the bundle's library has no GPU code for a target.
    """
    bundle = read_bundle(path)
    wanted = find_targets(targets)
    library = _library(bundle)
    for target in wanted:
        choose_flavour(target)
        if not cpu_only:
            _check_gpu_code(bundle, target, library)
    tensors = (*bundle.manifest.inputs, *bundle.manifest.outputs)
    builds = []
    for target in wanted:
        progress(f"building the engine for {target.name}")
        log = engine_log(bundle.path.resolve(), target)
        builds.append(build_engine(bundle.model, library, target, tensors, log))
    _put(bundle, library, builds)
    return read_bundle(path)


def _library(bundle: Bundle) -> Path:
    """The library to build with; the installed one where its bytes are the bundle's, as a process takes one only."""
    digest = bundle.manifest.files.get(PLUGIN_LIBRARY)
    return find_library() if digest in (None, sha256(find_library())) else bundle.plugin_library


def _check_gpu_code(bundle: Bundle, target: Target, library: Path) -> None:
    try:
        check_gpu_code(target, library)
    except UserError as error:
        if PLUGIN_LIBRARY not in bundle.manifest.files:
            raise
        raise UserError(
            f"{bundle.path} carries the plugin library that its engines were built with, and a further engine has to "
            f"be built with the same: {error}; or export the bundle again with: {remake(bundle.manifest)} --target "
            f"{target.name} --out {bundle.path}"
        ) from error


def _put(bundle: Bundle, library: Path, builds: Sequence[Build]) -> None:
    """Files first, under names that the manifest does not list yet, then the manifest; then what it no longer lists."""
    old, folder = bundle.manifest, bundle.path.resolve()
    engines, files = {_kind(engine): engine for engine in old.engines}, dict(old.files)
    if PLUGIN_LIBRARY not in files:
        with replacing(folder / PLUGIN_LIBRARY) as temporary:
            shutil.copyfile(library, temporary)
        files[PLUGIN_LIBRARY] = sha256(folder / PLUGIN_LIBRARY)
    for build in builds:
        entry = build.entry.model_copy(update={"file": _free_name(build.entry.target, files)})
        with replacing(folder / entry.file) as temporary:
            temporary.write_bytes(build.data)
        files[entry.file] = sha256(folder / entry.file)
        engines[_kind(entry)] = entry
    left = {engine.file for engine in old.engines} - {engine.file for engine in engines.values()}
    kept = {name: digest for name, digest in sorted(files.items()) if name not in left}
    changed = old.model_copy(update={"engines": tuple(engines.values()), "files": kept})
    write_manifest(folder, Manifest.model_validate(changed.model_dump()))
    for name in left:
        (folder / name).unlink(missing_ok=True)


def _kind(engine: Engine) -> tuple[str, str]:
    return engine.flavour, engine.compute_capability


def _free_name(target: str, files: Mapping[str, str]) -> str:
    names = (f"{target}.engine" if number == 1 else f"{target}-{number}.engine" for number in count(1))
    return next(name for name in names if name not in files)
