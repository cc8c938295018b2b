"""What a C++ project finds where vexkd is installed: headers, CMake package, pkg-config, and examples that build."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from tiny_bundles import make_bundle

from vexkd.config import DataConfig
from vexkd.data.dataset import NuScenesDataset
from vexkd.data.synth.generate import SynthConfig, generate
from vexkd.engines.bundle import Bundle
from vexkd.engines.native import onnxruntime_library
from vexkd.engines.pipeline import Boxes, Pipeline
from vexkd.engines.probe import ProbeFrame
from vexkd.plugins.library import LIBRARY

CHECKOUT = Path(__file__).parents[2]
EXAMPLES = CHECKOUT / "examples" / "cpp"
CHECKS = Path(__file__).with_name("face_checks.cpp")
HEADERS = sorted(path.name for path in (CHECKOUT / "engines/cpp/include/vexkd").glob("*.hpp"))
WARNINGS = ("-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Wshadow", "-Werror")
STRICT = [
    (compiler, standard, options)
    for compiler in ("g++", "clang++")
    if shutil.which(compiler) is not None
    for standard in ("c++17", "c++20")
    for options in ((), ("-fno-exceptions", "-fno-rtti"))
]
TOOLS = {name: shutil.which(name) for name in ("cmake", "ninja", "c++")}

if None in TOOLS.values():
    pytest.skip(f"not on the PATH: {[name for name, path in TOOLS.items() if path is None]}", allow_module_level=True)


def run(*command: object, expect: int = 0, **environment: str) -> str:
    """Output of a command."""
    parts = [str(part) for part in command]
    done = subprocess.run(parts, env={**os.environ, **environment}, capture_output=True, text=True, timeout=600)
    assert done.returncode == expect, f"{command}: {done.stdout[-4000:]}{done.stderr[-4000:]}"
    return done.stdout + done.stderr


def configure(source: Path, build: Path, *options: str, expect: int = 0) -> str:
    """Configure a CMake project; its output with the line breaks of messages taken out."""
    said = run("cmake", "-G", "Ninja", "-S", source, "-B", build, f"-DPython_EXECUTABLE={sys.executable}", *options,
               expect=expect)  # fmt: skip
    return " ".join(said.split())


def build(source: Path, folder: Path, *options: str) -> Path:
    """Build a CMake project; the folder of its programs."""
    configure(source, folder, *options)
    run("cmake", "--build", folder, "--parallel", 2)
    return folder


def project(folder: Path, text: str, **files: str) -> Path:
    """A CMake project of these lines."""
    folder.mkdir()
    (folder / "CMakeLists.txt").write_text(f"cmake_minimum_required(VERSION 3.20)\n{text}\n")
    for name, content in files.items():
        (folder / name.replace("_", ".")).write_text(content)  # main_c is main.c
    return folder


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An installed tree, moved from where it was installed."""
    folder = tmp_path_factory.mktemp("package")
    build(CHECKOUT, folder / "build", "-DVEXKD_CUDA=OFF")
    run("cmake", "--install", folder / "build", "--prefix", folder / "installed")
    shutil.rmtree(folder / "build")
    return (folder / "installed").rename(folder / "moved")


@pytest.fixture(scope="module")
def wheel(tree: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tree as a wheel has it: without links."""
    copy = tmp_path_factory.mktemp("wheel") / "vexkd" / "native"
    shutil.copytree(tree, copy)
    (copy / "lib" / "libvexkd.so").unlink()
    return copy


@pytest.fixture(scope="module")
def programs(tree: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The examples, built far from the checkout."""
    folder = tmp_path_factory.mktemp("elsewhere")
    shutil.copytree(EXAMPLES, folder / "cpp")
    return build(folder / "cpp", folder / "build", f"-DCMAKE_PREFIX_PATH={tree}")


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return make_bundle(tmp_path_factory.mktemp("bundle") / "by-hand.vexkd")


def needed_library(program: Path) -> str:
    """The file that the dynamic loader takes for our library."""
    (line,) = (line for line in run("ldd", program).splitlines() if "libvexkd" in line)
    return line.split()[2]


def made_up_frame() -> ProbeFrame:
    """The frame of minimal.cpp."""
    points = np.zeros((200, 5), np.float32)
    points[:, 0], points[:, 2], points[:, 3] = 4, 0.5, 0.75
    points[:, 1] = np.float32(-2.5) + np.float32(0.025) * np.arange(200, dtype=np.float32)
    none = np.zeros((0, 4, 4))
    return ProbeFrame(points, np.zeros((0, 1, 1, 3), np.uint8), none, none)


def said_boxes(found: Boxes) -> list[str]:
    """Boxes of a class "car" as minimal.cpp prints them."""
    return [
        f"car {score:.4f} at {box[0]:.4f} {box[1]:.4f} {box[2]:.4f} m, size {box[3]:.4f} {box[4]:.4f} {box[5]:.4f} m, "
        f"yaw {box[6]:.4f}"
        for box, score in zip(found.boxes, found.scores, strict=True)
    ]


@pytest.mark.parametrize(("compiler", "standard", "options"), STRICT)
def test_headers_stand_alone_under_strict_flags(
    tree: Path, tmp_path: Path, compiler: str, standard: str, options: tuple[str, ...]
) -> None:
    assert {"perception.hpp", "span.hpp", "status.hpp"} <= set(HEADERS)
    sources = []
    for header in HEADERS:
        sources.append(tmp_path / f"{header}.cpp")
        sources[-1].write_text(f'#include "vexkd/{header}"\n')
    flags = (f"-std={standard}", *WARNINGS, *options, f"-I{tree}/include", "-fsyntax-only")
    run(compiler, *flags, *sources, CHECKS)


def test_the_c_header_is_c(tree: Path, tmp_path: Path) -> None:
    source = tmp_path / "alone.c"
    source.write_text('#include "vexkd/perception.h"\nint main(void) { return VEXKD_OK; }\n')
    run("cc", "-std=c99", *WARNINGS, f"-I{tree}/include", "-fsyntax-only", source)


@pytest.mark.parametrize("prefix", ["tree", "wheel"])
def test_a_c_program_links_and_finds_the_library(prefix: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    at = request.getfixturevalue(prefix)
    source = project(
        tmp_path / "project",
        "project(in_c LANGUAGES C)\nfind_package(vexkd 0.1 REQUIRED)\n"
        "add_executable(in_c main.c)\ntarget_link_libraries(in_c PRIVATE vexkd::vexkd)",
        main_c='#include "vexkd/perception.h"\n#include <stdio.h>\n'
        "int main(void) { return puts(vexkd_version()) < 0 || vexkd_verify_bundle(0) != VEXKD_NULL_POINTER; }\n",
    )
    program = build(source, tmp_path / "build", f"-DCMAKE_PREFIX_PATH={at}") / "in_c"
    assert run(program) == "0.1.0\n"
    assert Path(needed_library(program)) == at / "lib" / LIBRARY


@pytest.mark.parametrize("prefix", ["tree", "wheel"])
def test_pkg_config(prefix: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    if shutil.which("pkg-config") is None:
        pytest.skip("pkg-config is not on the PATH")
    at = request.getfixturevalue(prefix)
    flags = run("pkg-config", "--cflags", "--libs", "vexkd", PKG_CONFIG_PATH=f"{at}/lib/pkgconfig").split()
    assert f"-l:{LIBRARY}" in flags
    program = tmp_path / "minimal"
    run("c++", "-std=c++17", EXAMPLES / "minimal.cpp", *flags, f"-Wl,-rpath,{at}/lib", "-o", program)
    assert "/nowhere/none.vexkd" in run(program, "/nowhere/none.vexkd", expect=1)


def test_the_package_holds_no_path_of_its_build(tree: Path) -> None:
    for path in (*tree.glob("lib/cmake/vexkd/*"), tree / "lib/pkgconfig/vexkd.pc"):
        assert str(CHECKOUT) not in path.read_text() and str(tree.parent) not in path.read_text(), path


@pytest.mark.parametrize(
    ("call", "message"),
    [
        ("find_package(vexkd 0.2 REQUIRED)", 'that is compatible with requested version "0.2"'),
        ("find_package(vexkd REQUIRED COMPONENTS cuda)", "was built without the CUDA kernels; build it again with"),
        ("find_package(vexkd REQUIRED COMPONENTS python)", "has no component python; the only one is cuda"),
    ],
)
def test_what_is_not_there_is_refused_clearly(tree: Path, tmp_path: Path, call: str, message: str) -> None:
    source = project(tmp_path / "project", f"project(refused LANGUAGES CXX)\n{call}")
    assert message in configure(source, tmp_path / "build", f"-DCMAKE_PREFIX_PATH={tree}", expect=1)


def test_an_optional_component_that_is_absent_is_no_error(tree: Path, tmp_path: Path) -> None:
    call = "find_package(vexkd REQUIRED OPTIONAL_COMPONENTS cuda)\nmessage(STATUS cuda=${vexkd_cuda_FOUND})"
    source = project(tmp_path / "project", f"project(optional LANGUAGES CXX)\n{call}")
    assert "cuda=OFF" in configure(source, tmp_path / "build", f"-DCMAKE_PREFIX_PATH={tree}")


def test_examples_say_what_they_miss(tree: Path, tmp_path: Path) -> None:
    nothing = ("-DCMAKE_DISABLE_FIND_PACKAGE_JPEG=ON", f"-DCMAKE_PREFIX_PATH={tree}")
    said = configure(EXAMPLES, tmp_path / "lidar-only", *nothing)
    assert "drive_loop is built for LiDAR only: libjpeg was not found" in said
    without_json = ("-DNLOHMANN_INCLUDE=NOTFOUND", "-DPython_EXECUTABLE=/nowhere", "-DCMAKE_IGNORE_PATH=/usr/include")
    said = configure(EXAMPLES, tmp_path / "without-json", *nothing, *without_json)
    assert "drive_loop is not built: nlohmann/json.hpp was not found; install" in said


@pytest.mark.parametrize("options", [(), ("-fno-exceptions", "-fno-rtti")])
def test_the_face_keeps_its_promises(tree: Path, bundle: Bundle, tmp_path: Path, options: tuple[str, ...]) -> None:
    program = tmp_path / "face_checks"
    flags = ("-std=c++17", "-O1", *options, f"-I{tree}/include", f"-Wl,-rpath,{tree}/lib")
    run("c++", *flags, CHECKS, tree / "lib" / LIBRARY, "-o", program)
    assert run(program, bundle.path, onnxruntime_library()) == ""


def test_minimal_says_what_the_pipeline_says(programs: Path, bundle: Bundle) -> None:
    said = run(programs / "minimal", bundle.path, onnxruntime_library()).splitlines()
    assert said[0].startswith("by-hand (fp32) on ONNX Runtime")
    result = Pipeline(bundle, "cpu")(made_up_frame())
    assert result.boxes is not None
    assert said[1:-1] == said_boxes(result.boxes)
    assert said[-1].startswith(f"{len(result.boxes.scores)} boxes in ")


def test_a_mistake_ends_in_one_line(programs: Path, bundle: Bundle, tmp_path: Path) -> None:
    assert "usage: minimal BUNDLE" in run(programs / "minimal", expect=2)
    assert "/nowhere" in run(programs / "minimal", bundle.path, "/nowhere/libonnxruntime.so", expect=1)
    loop = programs / "drive_loop"
    assert "give --lidar, --camera, or both" in run(loop, "--data", tmp_path, expect=2)
    assert "--rate must be a number above 0, got x" in run(loop, "--rate", "x", expect=2)
    with_bundle = ("--lidar", bundle.path, "--onnxruntime", onnxruntime_library())
    assert "0 folders v1.0-*" in run(loop, "--data", tmp_path, *with_bundle, expect=1)


def test_the_drive_loop_sees_what_the_pipeline_sees(programs: Path, bundle: Bundle, tmp_path: Path) -> None:
    generate(tmp_path / "scene", SynthConfig(scenes=1, seed=5, keyframes=2, image_size=(32, 48)))
    said = run(programs / "drive_loop", "--data", tmp_path / "scene", "--lidar", bundle.path, "--rate", 20,
               "--seconds", 0.3, "--onnxruntime", onnxruntime_library())  # fmt: skip
    frames = {line.split()[1]: line for line in said.splitlines() if " boxes in " in line}
    data = NuScenesDataset(DataConfig(root=tmp_path / "scene", sweeps=0, max_points=10**6), "all", images=False)
    pipeline, compared = Pipeline(bundle, "cpu"), 0
    for index, time in enumerate(("0.00", "0.50")):
        if time not in frames:  # a busy machine misses frames, but not the first
            continue
        found = pipeline(data[index]).boxes
        assert found is not None and f": {len(found.scores)} boxes in " in frames[time]
        for box, score in zip(found.boxes[:3], found.scores[:3], strict=True):
            assert f"car {score:.2f} at ({box[0]:.1f}, {box[1]:.1f})" in frames[time]
        compared += 1
    assert compared > 0
    assert "missed deadlines:" in said
    assert {"points", "engine", "selection", "total"} <= {line.split()[0] for line in said.splitlines() if line.strip()}
