"""Every way the rooms become one package: sdist, wheel, editable install, and a checkout that shadows both.

Needs no network: builds without isolation, into environments that borrow this one's dependencies.
"""

import importlib.util
import os
import subprocess
import sys
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest

from vexkd.plugins.library import LIBRARY

CHECKOUT = Path(__file__).parents[2]
ROOMS = ("export", "engines", "plugins", "cli")
WITHOUT_CUDA = ("-C", "cmake.define.VEXKD_CUDA=OFF")
"""nvcc would take most of the time, and the packaging does not depend on it."""

if importlib.util.find_spec("scikit_build_core") is None:
    pytest.skip("scikit-build-core is not installed", allow_module_level=True)

WORKER = """
import multiprocessing

def work(number):
    import vexkd.export
    from vexkd.plugins.library import ABI_VERSION, kernels
    return kernels().vexkd_abi_version() - ABI_VERSION + number

if __name__ == "__main__":
    for method in ("spawn", "fork"):
        with multiprocessing.get_context(method).Pool(1) as pool:
            assert pool.map(work, [1]) == [1]
"""


def run(*command: object, cwd: Path, expect: int = 0) -> str:
    """Output of a command that knows nothing of this process's paths."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "VIRTUAL"))}
    environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}"
    environment["PYTHONDONTWRITEBYTECODE"] = "1"
    done = subprocess.run(
        [str(part) for part in command], cwd=cwd, env=environment, capture_output=True, text=True, timeout=600
    )
    assert done.returncode == expect, f"{command}: {done.stdout[-4000:]}{done.stderr[-4000:]}"
    return done.stdout + done.stderr


def new_environment(folder: Path) -> Path:
    """An environment with this one's dependencies and without VeXKD; its Python."""
    venv.create(folder, with_pip=False, symlinks=True)
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    outer = folder / "dependencies"
    outer.mkdir()
    for path in (Path(path) for path in sys.path if path.endswith(("site-packages", "dist-packages"))):
        for entry in path.iterdir():
            if "vexkd" not in entry.name and not (outer / entry.name).exists():
                (outer / entry.name).symlink_to(entry)
    (folder / "lib" / version / "site-packages" / "outer.pth").write_text(f"{outer}\n")
    return folder / "bin" / "python"


def site_packages(python: Path) -> Path:
    """Where an environment of ``new_environment`` installs."""
    return next((python.parents[1] / "lib").glob("python*/site-packages"))


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the files that git tracks, links as links: a bare clone with today's changes."""
    copy = tmp_path_factory.mktemp("clone") / "vexkd"
    tracked = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=CHECKOUT, capture_output=True, text=True,
    )  # fmt: skip
    if tracked.returncode != 0:
        pytest.skip("not a git checkout")
    for name in filter(None, tracked.stdout.split("\0")):
        source, target = CHECKOUT / name, copy / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_symlink():
            target.symlink_to(os.readlink(source))
        elif source.is_file():
            target.write_bytes(source.read_bytes())
    return copy


@pytest.fixture(scope="module")
def distributions(checkout: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The sdist, and the wheel built from it."""
    out = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "build", "--no-isolation", *WITHOUT_CUDA, "--outdir", out, ".", cwd=checkout)
    return next(out.glob("*.tar.gz")), next(out.glob("*.whl"))


@pytest.fixture(scope="module")
def plain(distributions: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Python of an environment with the wheel installed."""
    python = new_environment(tmp_path_factory.mktemp("plain"))
    pip = (sys.executable, "-m", "pip", "--python", python, "install", "--quiet", "--no-deps", "--no-index")
    run(*pip, distributions[1], cwd=python.parent)
    return python


@pytest.fixture(scope="module")
def editable(checkout: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Python of an environment with the checkout installed as editable."""
    python = new_environment(tmp_path_factory.mktemp("editable"))
    pip = (sys.executable, "-m", "pip", "--python", python, "install", "--quiet", "--no-deps", "--no-build-isolation")
    run(*pip, *WITHOUT_CUDA, "-e", ".", cwd=checkout)
    return python


@pytest.fixture(params=["plain", "editable"])
def installed(request: pytest.FixtureRequest) -> Path:
    """Both kinds of installation."""
    return request.getfixturevalue(request.param)


def test_sdist_holds_every_file_once(distributions: tuple[Path, Path], checkout: Path) -> None:
    with tarfile.open(distributions[0]) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
        assert not any(member.issym() for member in archive.getmembers())
    kernels = {"vexkd/plugins/kernels/voxelize.cpp", "vexkd/plugins/kernels/voxelize.cu", "vexkd/plugins/exports.map"}
    assert {"CMakeLists.txt", "pyproject.toml", *kernels} <= names
    assert not any(name.startswith(tuple(f"{room}/" for room in ROOMS)) for name in names)
    for room in ROOMS:
        assert {f"vexkd/{path.relative_to(checkout)}" for path in (checkout / room).rglob("*.py")} <= names


def test_wheel_is_one_namespace_with_all_modules_and_no_sources(
    distributions: tuple[Path, Path], checkout: Path
) -> None:
    names = set(zipfile.ZipFile(distributions[1]).namelist())
    assert {name.partition("/")[0] for name in names} == {"vexkd", "vexkd-0.1.0.dist-info"}
    for room in ROOMS:
        modules = {str(path.relative_to(checkout)) for path in (checkout / room).rglob("*.py")}
        assert {f"vexkd/{module}" for module in modules if "/harness/" not in module} <= names
    native = {name.removeprefix("vexkd/native/") for name in names if name.startswith("vexkd/native/")}
    package = {f"lib/cmake/vexkd/vexkd{part}.cmake" for part in ("Config", "ConfigVersion", "Targets")}
    headers = {"include/vexkd/types.h", "include/vexkd/perception.h", "include/vexkd/perception.hpp"}
    assert {f"lib/{LIBRARY}", "lib/pkgconfig/vexkd.pc", *headers, *package} <= native
    assert "lib/libvexkd.so" not in native  # a link, which a wheel would hold as a second library
    assert sum(name.endswith("types.h") for name in names) == 1
    recipes = [f"vexkd/{path.relative_to(checkout)}" for path in (checkout / "configs").rglob("*.yaml")]
    assert recipes and set(recipes) <= names
    sources = {name for name in names if name.endswith((".cpp", ".cu", ".hpp", ".cuh", ".map"))}
    assert all(name.startswith("vexkd/native/include/vexkd/") for name in sources)
    assert "py3-none" in distributions[1].name


def test_imports_from_anywhere(installed: Path, tmp_path: Path) -> None:
    code = "import vexkd.export, vexkd.engines, vexkd.cli.app; from vexkd.plugins.library import kernels; kernels()"
    run(installed, "-c", code, cwd=tmp_path)
    assert "Usage" in run(installed, "-m", "vexkd", "--help", cwd=tmp_path)
    assert "Usage" in run(installed.parent / "vexkd", "--help", cwd=tmp_path)
    (parent,) = run(installed, "-c", "import vexkd; print(vexkd.__path__[0])", cwd=tmp_path).split()
    assert Path(parent).name == "vexkd"


def test_no_generic_name_is_installed(plain: Path, tmp_path: Path) -> None:
    assert {path.name for path in site_packages(plain).iterdir()} == {"outer.pth", "vexkd", "vexkd-0.1.0.dist-info"}
    for room in ROOMS:
        run(plain, "-c", f"import {room}", cwd=tmp_path, expect=1)


def test_imports_from_the_root_of_the_checkout(installed: Path, checkout: Path) -> None:
    code = "import vexkd, vexkd.export; from vexkd.plugins.library import find_library; print(find_library())"
    library = Path(run(installed, "-c", code, cwd=checkout).strip())
    assert library == site_packages(installed) / "vexkd" / "native" / "lib" / LIBRARY
    assert "Usage" in run(installed, "-m", "vexkd", "--help", cwd=checkout)
    test = "tests/plugins/test_kernels_pillar_max.py::test_no_channels_and_no_points"
    assert "1 passed" in run(installed, "-m", "pytest", "-q", test, cwd=checkout)


def test_a_cpp_project_links_against_the_installed_package(installed: Path, tmp_path: Path) -> None:
    (tmp_path / "CMakeLists.txt").write_text(
        "cmake_minimum_required(VERSION 3.20)\nproject(user LANGUAGES CXX)\nfind_package(vexkd 0.1 REQUIRED)\n"
        "add_executable(user user.cpp)\ntarget_link_libraries(user PRIVATE vexkd::vexkd)\n"
    )
    (tmp_path / "user.cpp").write_text(
        "#include <cstdio>\n#include <vexkd/perception.hpp>\nint main() { std::puts(vexkd_version()); }\n"
    )
    prefix = run(installed, "-m", "vexkd", "cmake-dir", cwd=tmp_path).strip()
    assert Path(prefix) == site_packages(installed) / "vexkd" / "native"
    run("cmake", "-S", tmp_path, "-B", tmp_path / "build", f"-DCMAKE_PREFIX_PATH={prefix}", cwd=tmp_path)
    run("cmake", "--build", tmp_path / "build", cwd=tmp_path)
    assert run(tmp_path / "build" / "user", cwd=tmp_path) == "0.1.0\n"


def test_worker_processes(installed: Path, checkout: Path, tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(WORKER)
    run(installed, script, cwd=tmp_path)
    run(installed, script, cwd=checkout)


def test_a_module_added_after_an_editable_install_is_found(editable: Path, checkout: Path, tmp_path: Path) -> None:
    added = checkout / "export" / "added_later.py"
    added.write_text("ANSWER = 42\n")
    try:
        run(editable, "-c", "from vexkd.export.added_later import ANSWER; assert ANSWER == 42", cwd=tmp_path)
    finally:
        added.unlink()


def test_without_an_installation_the_user_is_told_what_to_do(checkout: Path, tmp_path: Path) -> None:
    python = new_environment(tmp_path / "bare")
    code = "from vexkd.plugins.library import kernels; kernels()"
    said = run(python, "-c", code, cwd=checkout, expect=1).splitlines()[-1]
    assert said.startswith(f"vexkd.plugins.errors.UserError: the native library {LIBRARY} is not built")
    assert "make native" in said


@pytest.mark.skipif(importlib.util.find_spec("mypy") is None, reason="mypy is not installed")
def test_the_type_checker_follows_the_links(checkout: Path, tmp_path: Path) -> None:
    sample = tmp_path / "sample.py"
    sample.write_text("from vexkd.plugins.files import sha256\nreveal_type(sha256)\nsha256(1)\n")
    checker = (sys.executable, "-m", "mypy", "--config-file=", f"--cache-dir={tmp_path / 'cache'}", sample)
    said = run(*checker, cwd=checkout, expect=1)
    assert 'Revealed type is "def (path: pathlib.Path) -> str"' in said.replace("builtins.", "")
    assert 'has incompatible type "int"' in said
    assert (checkout / "vexkd" / "export" / "__init__.py").resolve() == (checkout / "export" / "__init__.py").resolve()
