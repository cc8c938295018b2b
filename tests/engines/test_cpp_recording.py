"""The examples' reader of recorded scenes, against the data set that training reads."""

import importlib.util
import shutil
import subprocess
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from numpy.typing import NDArray

from vexkd.classes import CAMERAS
from vexkd.config import DataConfig
from vexkd.data.dataset import OWN_VEHICLE, NuScenesDataset
from vexkd.data.synth.generate import SynthConfig, generate

CHECKOUT = Path(__file__).parents[2]
EXAMPLES = CHECKOUT / "examples" / "cpp"
INCLUDES = ("plugins/include", "engines/cpp/include", "examples/cpp")
HEIGHT, WIDTH = 32, 48
SWEEPS = 3
TURNS, KEYFRAMES = 11, 3
"""Of the scene: 10 Hz and 2 Hz for one second."""
SHUFFLED = tuple(reversed(CAMERAS))


class Moment(NamedTuple):
    """What one moment looks like to a model."""

    time: float
    points: NDArray[np.float32]
    intrinsics: NDArray[np.float64]
    camera_to_ego: NDArray[np.float64]
    images: NDArray[np.uint8]


class Reader:
    """Takes numbers off a block of bytes."""

    def __init__(self, content: bytes) -> None:
        self.content, self.offset = content, 0

    def take(self, count: int, dtype: type = np.float64) -> NDArray:
        values = np.frombuffer(self.content, dtype, count, self.offset)
        self.offset += values.nbytes
        return values

    def number(self) -> float:
        return float(self.take(1)[0])

    def sweep(self) -> NDArray[np.float32]:
        """Points in ego, accumulated as the C ABI documents it."""
        pose = self.take(16).reshape(4, 4)
        age, scale, own_vehicle, stride, count = (self.number() for _ in range(5))
        assert own_vehicle == OWN_VEHICLE
        raw = self.take(int(stride * count), np.float32).reshape(int(count), int(stride))
        raw = raw[(np.abs(raw[:, :2]) >= own_vehicle).any(axis=1)]
        xyz = raw[:, :3] @ pose[:3, :3].T + pose[:3, 3]
        return np.column_stack([xyz, raw[:, 3] / np.float32(scale), np.full(len(raw), age)]).astype(np.float32)

    def moment(self, cameras: int) -> Moment:
        time = self.number()
        points = np.concatenate([self.sweep() for _ in range(int(self.number()))])
        views = [(self.take(9), self.take(16), self.take(HEIGHT * WIDTH * 3, np.uint8)) for _ in range(cameras)]
        intrinsics, poses, images = ([view[part] for view in views] for part in range(3))
        return Moment(time, points, np.reshape(intrinsics, (-1, 3, 3)), np.reshape(poses, (-1, 4, 4)),
                      np.reshape(images, (-1, HEIGHT, WIDTH, 3)))  # fmt: skip


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("data") / "scene"
    generate(root, SynthConfig(scenes=1, seed=5, keyframes=KEYFRAMES, image_size=(HEIGHT, WIDTH)))
    return root


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """recording_dump with the example's own sources."""
    json = importlib.util.find_spec("nlohmann_json")
    if shutil.which("c++") is None or json is None or json.origin is None:
        pytest.skip("needs c++ and nlohmann-json")
    target = tmp_path_factory.mktemp("program") / "recording_dump"
    sources = [*(EXAMPLES / f"{name}.cpp" for name in ("recording", "nuscenes_tables", "jpeg")),
               Path(__file__).with_name("recording_dump.cpp")]  # fmt: skip
    includes = [f"-I{CHECKOUT / path}" for path in INCLUDES] + [f"-isystem{Path(json.origin).parent / 'include'}"]
    flags = ["-std=c++17", "-O1", "-Wall", "-Wextra", "-Wconversion", "-Wshadow", "-Werror", *includes]
    command = ["c++", *flags, *map(str, sources), "-o", str(target)]
    if subprocess.run([*command, "-DWITH_JPEG", "-ljpeg"], capture_output=True, check=False).returncode != 0:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
    return target


def dump(program: Path, scene: Path, cameras: tuple[str, ...]) -> list[Moment]:
    sizes = [str(number) for number in (HEIGHT, WIDTH, SWEEPS)]
    done = subprocess.run([str(program), str(scene), *sizes, *cameras], capture_output=True, check=False)
    if b"built without libjpeg" in done.stderr:
        pytest.skip("libjpeg's headers are not installed")
    assert done.returncode == 0, done.stderr
    reader = Reader(done.stdout)
    moments = [reader.moment(len(cameras)) for _ in range(int(reader.number()))]
    assert reader.offset == len(done.stdout)
    return moments


@pytest.fixture(scope="module")
def data(scene: Path) -> NuScenesDataset:
    return NuScenesDataset(DataConfig(root=scene, sweeps=SWEEPS, max_points=10**6), "all")


def test_every_turn_of_the_lidar_is_a_moment_with_its_sweeps(program: Path, scene: Path, data: NuScenesDataset) -> None:
    moments = dump(program, scene, ())
    assert len(moments) == TURNS
    np.testing.assert_allclose([moment.time for moment in moments], np.arange(TURNS) / 10, atol=1e-3)
    for index in range(KEYFRAMES):
        sample = data[index]
        moment = moments[index * (TURNS - 1) // (KEYFRAMES - 1)]
        assert sample.points[:, 4].max() > 0.2 or index == 0
        np.testing.assert_allclose(moment.points, sample.points, rtol=1e-6, atol=1e-5)


def test_keyframes_have_their_cameras_by_name(program: Path, scene: Path, data: NuScenesDataset) -> None:
    moments = dump(program, scene, SHUFFLED)
    assert len(moments) == KEYFRAMES
    order = [CAMERAS.index(name) for name in SHUFFLED]
    for index, moment in enumerate(moments):
        sample = data[index]
        np.testing.assert_allclose(moment.points, sample.points, rtol=1e-6, atol=1e-5)
        np.testing.assert_allclose(moment.intrinsics, sample.intrinsics[order])
        np.testing.assert_allclose(moment.camera_to_ego, sample.camera_to_ego[order], atol=1e-9)
        # Decoders of different versions may round differently.
        assert np.abs(moment.images.astype(int) - sample.images[order]).max() <= 3


def test_a_damaged_file_is_named(program: Path, scene: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(scene, tmp_path / "copy")
    cloud = next(iter(sorted(copy.glob("samples/LIDAR_TOP/*"))))
    cloud.write_bytes(cloud.read_bytes()[:-1])
    done = subprocess.run([str(program), str(copy), "32", "48", "0"], capture_output=True, text=True, check=False)
    assert done.returncode != 0 and f"{cloud} is truncated" in done.stderr
