"""The plugin library in the hands of a host that plays TensorRT's part; see plugins/harness/."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from vexkd.plugins.library import find_library

HARNESS = Path(__file__).parents[2] / "plugins" / "harness"
CHECKS = (
    *("creators", "identity", "fields_refused", "image_fields_refused", "formats"),
    *("output_types", "output_shapes", "types_refused", "shapes_refused_at_build"),
    *("clone_outlives_original", "serialised_fields_restore", "shape_change", "workspace"),
    *("enqueue_refuses_bad_pointers", "loggers_of_all_generations", "cases_are_telling"),
)
DEVICE_CHECKS = ("results_match_cpu", "same_bits_every_time", "two_streams", "graph_capture")


def compile_harness(folder: Path, **defines: str) -> Path:
    """Build the CMake project of the harness; returns the folder of the programs."""
    cmake = shutil.which("cmake")
    if cmake is None:
        pytest.skip("cmake is not on the PATH")
    options = [f"-D{name}={value}" for name, value in defines.items()]
    commands = [[cmake, "-S", str(HARNESS), "-B", str(folder), *options], [cmake, "--build", str(folder)]]
    for command in commands:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
    return folder


@pytest.fixture(scope="session")
def harness(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return compile_harness(tmp_path_factory.mktemp("harness")) / "plugin_harness"


def run(harness: Path, check: str) -> str:
    command = [str(harness), str(find_library()), check]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.strip()


def test_every_check_is_run(harness: Path) -> None:
    done = subprocess.run([str(harness), "--list"], capture_output=True, text=True, check=True)
    listed = done.stdout.split()
    assert [name for name in listed if not name.startswith("device")] == list(CHECKS)
    assert [name for name in listed if name.startswith("device_")] in ([], [f"device_{name}" for name in DEVICE_CHECKS])


@pytest.mark.parametrize("check", [check for check in CHECKS if check != "clone_outlives_original"])
def test_on_the_host(harness: Path, check: str) -> None:
    assert run(harness, check) == f"ok {check}"


def test_14_the_fields_of_a_clone_outlive_its_original(harness: Path) -> None:
    assert run(harness, "clone_outlives_original") == "ok clone_outlives_original"


@pytest.mark.gpu
@pytest.mark.parametrize("check", DEVICE_CHECKS)
def test_on_a_device(harness: Path, check: str) -> None:
    listed = subprocess.run([str(harness), "--list"], capture_output=True, text=True, check=True).stdout.split()
    if "device" in listed:
        pytest.skip("the harness was built without the CUDA runtime")
    answer = run(harness, f"device_{check}")
    if answer.startswith("skip"):
        pytest.skip(answer.partition(": ")[2])
    assert answer == f"ok device_{check}"


def test_our_declaration_is_the_official_interface(tmp_path: Path) -> None:
    """Enumerators, sizes, offsets at compile time, the order of virtual functions at run time."""
    root = os.environ.get("TENSORRT_ROOT", "")
    programs = compile_harness(tmp_path, TENSORRT_ROOT=root)
    program = programs / "abi_check"
    if not program.exists():
        pytest.skip(
            "needs NvInferRuntime.h and the CUDA headers; set TENSORRT_ROOT to a folder with TensorRT's headers"
        )
    done = subprocess.run([str(program)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
