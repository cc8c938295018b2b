"""Camera branch: frustum geometry, view transform, pretrained weights."""

import subprocess
import sys
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from tiny_models import GRID, RAW_SIZE, calibration, tiny_config, tiny_inputs

from vexkd.config import CameraConfig
from vexkd.models.camera_branch import CameraBranch, build_backbone
from vexkd.models.frustum import frustum_geometry, ray_inputs
from vexkd.models.inputs import Inputs
from vexkd.models.lift_splat import LiftSplat
from vexkd.plugins.errors import UserError


def branch() -> CameraBranch:
    config = tiny_config("camera")
    assert config.camera is not None
    torch.manual_seed(0)
    return CameraBranch(config.camera, config.grid)


def frustum_of(config: CameraConfig, batch: int = 1) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Points and row starts that the branch hands to its pooling."""
    handed: list[torch.Tensor] = []

    def pool(depth: torch.Tensor, context: torch.Tensor, *rest: Any) -> torch.Tensor:
        handed.extend(rest[:2])
        return torch.zeros(batch, config.channels, GRID.height, GRID.width)

    rays, origins = map(torch.from_numpy, ray_inputs(config, *calibration(batch, cameras=2), RAW_SIZE))
    view = LiftSplat(config, GRID)
    with patch.object(torch.ops.vexkd, "bev_pool", pool):
        view(torch.zeros(batch * 2, config.neck_channels, *view.feature_size), rays, origins, batch)
    points, starts = handed
    return points.numpy(), starts.numpy()


def test_depth_bins_and_feature_size() -> None:
    depths, size = frustum_geometry(CameraConfig(image_size=(256, 704), stride=16, depth=(1.0, 60.0, 0.5)))
    assert len(depths) == 118 and depths[0] == 1 and depths[-1] == 59.5 and depths.dtype == np.float32
    assert size == (16, 44)


def test_frustum_points_lie_where_the_camera_model_says() -> None:
    config = tiny_config("camera")
    assert config.camera is not None
    intrinsics, poses = calibration(batch=2, cameras=2)
    points, starts = frustum_of(config.camera, batch=2)
    depths, (height, width) = frustum_geometry(config.camera)
    cells = GRID.height * GRID.width
    assert len(points) == 4 * len(depths) * height * width and len(starts) == 2 * cells + 1
    scale = 64 / RAW_SIZE[1]
    crop = round(RAW_SIZE[0] * scale) - 32
    checked = 0
    for cell in range(2 * cells):
        for flat in points[starts[cell] : starts[cell + 1]][:2]:
            v, d, y, x = np.unravel_index(flat, (4, len(depths), height, width))
            assert v // 2 == cell // cells
            raw = [((x + 0.5) * 8) / scale - 0.5, ((y + 0.5) * 8 + crop) / scale - 0.5, 1]
            camera = np.linalg.inv(intrinsics[0, 0]) @ raw * depths[d]
            ego = poses[0, v % 2, :3, :3] @ camera + poses[0, v % 2, :3, 3]
            column = (ego[0] - GRID.x[0]) / GRID.cell - cell % cells % GRID.width
            row = (ego[1] - GRID.y[0]) / GRID.cell - cell % cells // GRID.width
            assert -1e-4 <= column <= 1 + 1e-4 and -1e-4 <= row <= 1 + 1e-4
            checked += 1
    assert checked > 100


@pytest.mark.parametrize("z", [(-10.0, 10.0), (0.0, 2.0)])
def test_the_camera_has_its_own_heights(z: tuple[float, float]) -> None:
    tiny = tiny_config("camera")
    assert tiny.camera is not None
    intrinsics, poses = calibration(batch=1, cameras=2)
    points, starts = frustum_of(tiny.camera.model_copy(update={"z": z}))
    depths, (height, width) = frustum_geometry(tiny.camera)
    shape = (2, len(depths), height, width)
    # The raw image is scaled by 0.8 to 38 x 64 pixels, of which the bottom 32 rows stay.
    views, bins, rows, columns = np.indices(shape)
    u = (columns + 0.5) * 8 * RAW_SIZE[1] / 64 - 0.5
    v = ((rows + 0.5) * 8 + 6) * RAW_SIZE[0] / 38 - 0.5
    pixels = np.stack([u, v, np.ones(shape)], -1)
    camera = pixels @ np.linalg.inv(intrinsics[0, 0]).T * depths[bins][..., None]
    ego = np.einsum("vij,v...j->v...i", poses[0, :, :3, :3], camera) + poses[0, views, :3, 3]
    limits = (GRID.x, GRID.y, z)
    inside = np.all([(ego[..., i] >= low) & (ego[..., i] < high) for i, (low, high) in enumerate(limits)], axis=0)
    np.testing.assert_array_equal(np.sort(points[: starts[-1]]), np.flatnonzero(inside))
    high_up = inside & (ego[..., 2] > GRID.z[1])
    assert high_up.any() == (z[1] > GRID.z[1])


def test_ray_inputs_need_no_torch() -> None:
    code = "import sys, vexkd.models.frustum; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parents[2], check=False).returncode == 0


def test_feature_changes_only_where_the_camera_looks() -> None:
    model = branch().eval()
    inputs = tiny_inputs(tiny_config("camera"), batch=1)
    assert inputs.images is not None
    dark = inputs.images.clone()
    dark[:, 0] = 0
    change = (model(inputs) - model(inputs._replace(images=dark))).abs().amax((0, 1))
    # Camera 0 looks along +x; the smoothing convolution reaches one cell back, but for rounding errors of a fast one.
    behind = int(-GRID.x[0] / GRID.cell) - 1
    assert 0 < change.max() == change[:, behind + 1 :].max()
    assert change[:, :behind].max() < 1e-5 * change.max()


@pytest.mark.parametrize("stride", [8, 16])
def test_neck_meets_the_stride(stride: int) -> None:
    config = tiny_config("camera").camera
    assert config is not None
    model = CameraBranch(config.model_copy(update={"stride": stride}), GRID).eval()
    levels = model.backbone(torch.zeros(1, 3, 32, 64)).feature_maps
    assert model.neck(list(levels)).shape == (1, 8, 32 // stride, 64 // stride)


@pytest.mark.parametrize("name", ["resnet18", "resnet34", "resnet50"])
def test_backbones_have_the_published_stages(name: str) -> None:
    depths = {"resnet18": [2, 2, 2, 2], "resnet34": [3, 4, 6, 3], "resnet50": [3, 4, 6, 3]}
    config = build_backbone(CameraConfig(backbone=name)).config  # type: ignore[arg-type]
    assert config.depths == depths[name]
    assert config.hidden_sizes[-1] == (2048 if name == "resnet50" else 512)


def test_pretrained_weights_arrive(tmp_path: Path) -> None:
    source = branch()
    source.backbone.save_pretrained(tmp_path)
    config = tiny_config("camera").camera
    assert config is not None
    target = CameraBranch(config.model_copy(update={"pretrained": str(tmp_path)}), GRID)
    target.load_pretrained()
    for name, value in source.backbone.state_dict().items():
        assert torch.equal(value, target.backbone.state_dict()[name]), name


def test_pretrained_of_another_architecture_or_place_is_a_user_error(tmp_path: Path) -> None:
    branch().backbone.save_pretrained(tmp_path)
    config = CameraConfig(backbone="resnet18", image_size=(32, 64), pretrained=str(tmp_path))
    with pytest.raises(UserError, match="no resnet18"):
        CameraBranch(config, GRID).load_pretrained()
    gone = config.model_copy(update={"pretrained": str(tmp_path / "gone")})
    with pytest.raises(UserError, match=r"model\.camera\.pretrained"):
        CameraBranch(gone, GRID).load_pretrained()


def test_missing_input_is_named() -> None:
    with pytest.raises(ValueError, match="rays"):
        branch()(Inputs())
