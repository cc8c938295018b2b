"""The C ABI under sanitizers: the kernels get hostile arguments, the runtime hostile manifests."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from bundle_contents import DETECTION, SEGMENTATION, SENSORS, content, signed

CHECKOUT = Path(__file__).parents[2]
CMAKE = shutil.which("cmake", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]))

pytestmark = pytest.mark.skipif(CMAKE is None or shutil.which("c++") is None, reason="no CMake or no C++ compiler")


@pytest.fixture(scope="module", params=["address,undefined", "thread"])
def build(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with the programs of cmake/sanitize.cmake."""
    sanitizers, folder = request.param, tmp_path_factory.mktemp("sanitized")
    options = (f"-DVEXKD_SANITIZE={sanitizers}", "-DVEXKD_CUDA=OFF", f"-DPython_EXECUTABLE={sys.executable}")
    configured = subprocess.run(
        [str(CMAKE), "-S", CHECKOUT, "-B", folder, *options, "--log-level=ERROR"],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert configured.returncode == 0, configured.stderr
    built = subprocess.run(
        [str(CMAKE), "--build", folder, "--parallel", "2"], capture_output=True, text=True, timeout=600
    )
    if built.returncode != 0 and "cannot find" in built.stderr + built.stdout:
        pytest.skip(f"this compiler has no {sanitizers} sanitizer")
    assert built.returncode == 0, built.stdout[-3000:] + built.stderr[-3000:]
    return folder


def run(*command: str | Path) -> str:
    ran = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert ran.returncode == 0, ran.stdout[-3000:] + ran.stderr[-6000:]
    return ran.stdout


def test_hostile_arguments_and_contents_harm_nothing(build: Path) -> None:
    assert "0 failures" in run(build / "vexkd_sanitize", "60")


@pytest.mark.parametrize("build", ["address,undefined"], indirect=True)
def test_hostile_sensor_data_harms_nothing(build: Path) -> None:
    told = run(build / "vexkd_fuzz_sensors", "20000", "1").split()
    calibrations, clouds = int(told[2]), int(told[5])
    # Both ways are taken: what is sound gets through, what is not is refused.
    assert 2000 < calibrations < 18000 and 2000 < clouds < 18000


@pytest.mark.parametrize("build", ["address,undefined"], indirect=True)
def test_hostile_manifests_harm_nothing(build: Path, tmp_path: Path) -> None:
    manifests = []
    for task in (DETECTION, SEGMENTATION):
        for sensors in SENSORS:
            manifests.append(tmp_path / f"{task}-{'-'.join(sensors)}.json")
            manifests[-1].write_bytes(signed(content(task, sensors)))
    told = run(build / "vexkd_fuzz_manifest", "20000", "1", *manifests)
    assert told.startswith("20000 inputs: status 0: ") and "status 21: " in told and "status 22: " in told
