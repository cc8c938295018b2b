"""Map rasters against cell-by-cell geometry on a hand-made map, and against the devkit's own."""

from pathlib import Path

import numpy as np
import pytest
import shapely
from nuscenes.map_expansion.map_api import NuScenesMap
from shapely.geometry import LineString, Polygon

from vexkd.classes import MAP_CLASSES
from vexkd.config import DataConfig
from vexkd.data.dataset import NuScenesDataset
from vexkd.data.map_labels import CELL, CELLS, EXTENT, MapLabels
from vexkd.data.synth.expansion import write_expansion
from vexkd.data.synth.layout import Layout
from vexkd.data.synth.motion import rotation
from vexkd.data.synth.road import Road
from vexkd.data.synth.tables import Tokens
from vexkd.plugins.errors import UserError

LOCATION = "boston-seaport"
AREAS = {
    "drivable_area": [Polygon([(10, 5), (20, 5), (20, 8), (10, 8)])],
    "ped_crossing": [Polygon([(-30, -20), (-12, -23), (-25, 4)])],
    "walkway": [Polygon([(0, 0), (30, 0), (30, 30), (0, 30)], [[(5, 5), (25, 5), (25, 25), (5, 25)]])],
    "stop_line": [Polygon([(8, 8), (12, 8), (12, 12), (8, 12)])],
    "carpark_area": [Polygon([(-200, -200), (200, -200), (200, -30), (-200, -30)])],
}
LINES = [LineString([(-60, 10), (0, 10), (40, 45)]), LineString([(0, -49), (0, 49)])]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("map")
    road = Road(np.zeros(2), np.zeros((2, 2)), np.zeros(2))
    layout = Layout(road, 1, 3.0, (), (), np.zeros(2), 100.0, AREAS, LINES[:1], LINES[1:])
    write_expansion(folder / "maps" / "expansion" / f"{LOCATION}.json", LOCATION, [layout], 100.0, Tokens(0))
    return folder


def _pose(x: float, y: float, yaw: float) -> np.ndarray:
    pose = np.eye(4)
    pose[:3, :3] = rotation(yaw, 0.005, -0.004)
    pose[:2, 3] = (x, y)
    return pose


def test_a_rectangle_fills_its_cells_exactly(root: Path) -> None:
    labels = MapLabels(root)(LOCATION, np.eye(4))
    assert labels.shape == (6, 200, 200) and labels.dtype == np.uint8
    rows, columns = np.nonzero(labels[0])
    assert (rows.min(), rows.max()) == (110, 115), "y from 5 to 8 m"
    assert (columns.min(), columns.max()) == (120, 139), "x from 10 to 20 m"
    assert labels[0].sum() == 6 * 20


@pytest.mark.parametrize(
    ("x", "y", "yaw"), [(0, 0, 0), (3.2, -7.1, np.pi / 2), (-11.37, 4.2, 2.2), (25.0, 20.0, -0.7), (900, 900, 1.0)]
)
def test_every_cell_agrees_with_geometry(root: Path, x: float, y: float, yaw: float) -> None:
    labels = MapLabels(root)(LOCATION, _pose(x, y, yaw))
    centres = (np.arange(CELLS) + 0.5) * CELL - EXTENT
    ego_x, ego_y = np.meshgrid(centres, centres)
    global_x = x + np.cos(yaw) * ego_x - np.sin(yaw) * ego_y
    global_y = y + np.sin(yaw) * ego_x + np.cos(yaw) * ego_y
    points = shapely.points(global_x, global_y)
    for index, name in enumerate(MAP_CLASSES):
        shape = shapely.union_all(AREAS[name] if name in AREAS else [line.buffer(0.75) for line in LINES])
        expected = shapely.contains(shape, points)
        unsure = shapely.distance(shapely.boundary(shape), points) < 0.06
        assert np.array_equal(labels[index][~unsure], expected[~unsure]), name


def test_the_devkit_draws_nearly_the_same(synth: Path) -> None:
    dataset = NuScenesDataset(DataConfig(root=synth, sweeps=0), "train", images=False, map_labels=True)
    sample = dataset[0]
    assert sample.map_labels is not None
    location = dataset.location(sample.token)
    yaw = np.arctan2(sample.ego_to_global[1, 0], sample.ego_to_global[0, 0])
    patch = (*sample.ego_to_global[:2, 3], 100.0, 100.0)
    areas = [name for name in MAP_CLASSES if name != "divider"]
    masks = NuScenesMap(str(synth), location).get_map_mask(patch, np.degrees(yaw), areas, (200, 200))
    for name, mask, labels in zip(areas, masks, sample.map_labels, strict=False):
        overlap, union = np.count_nonzero(mask & labels), np.count_nonzero(mask | labels)
        # The devkit's outlines are about half a cell larger; that weighs on small areas.
        assert overlap > (0.5 if name == "stop_line" else 0.75) * union, name
        assert overlap == 0 or np.count_nonzero(labels & ~mask) <= 0.06 * np.count_nonzero(labels), name


def test_synthetic_maps_hold_every_class(synth: Path) -> None:
    dataset = NuScenesDataset(DataConfig(root=synth, sweeps=0), "all", images=False, map_labels=True)
    shares = np.mean([dataset[index].map_labels.mean(axis=(1, 2)) for index in range(len(dataset))], axis=0)
    assert (shares > 0.001).all() and (shares < 0.5).all()


def test_a_missing_or_broken_expansion_is_named(root: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"singapore-queenstown\.json is missing"):
        MapLabels(root)("singapore-queenstown", np.eye(4))
    broken = tmp_path / "maps" / "expansion" / f"{LOCATION}.json"
    broken.parent.mkdir(parents=True)
    broken.write_text('{"version": "1.0"}')
    with pytest.raises(UserError, match="outdated map version"):
        MapLabels(tmp_path)(LOCATION, np.eye(4))
