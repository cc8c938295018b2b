"""Recipes: a file over its base, what goes wrong with bases, and the recipes that are shipped."""

from pathlib import Path

import pytest
import yaml

from vexkd.config import dump_config, load_config
from vexkd.plugins.errors import UserError

CONFIGS = Path(__file__).parents[1] / "configs"
LIMITS = CONFIGS / "bench"
"""What bundles must reach, see ``vexkd.engines.limits``: no recipes."""
RECIPES = sorted(p for p in CONFIGS.rglob("*.yaml") if p.name != "base.yaml" and p.parent != LIMITS)

LIDAR = """
task: detection
model: {lidar: {layers: 2, channels: 16}, encoder: {channels: [8, 16]}}
train: {stage: student}
"""


def write(folder: Path, **files: str) -> Path:
    """Write YAML files and give the one named ``top``."""
    for name, text in files.items():
        (folder / f"{name}.yaml").write_text(text)
    return folder / "top.yaml"


def refused(path: Path, *overrides: str) -> str:
    with pytest.raises(UserError) as error:
        load_config(path, list(overrides))
    assert "\n" not in str(error.value)
    return str(error.value)


def test_own_keys_lie_over_those_of_the_base_section_by_section(tmp_path):
    top = write(tmp_path, low=LIDAR, top="base: low.yaml\nmodel: {lidar: {channels: 32}, encoder: {channels: [64]}}")
    model = load_config(top).model
    assert model.lidar is not None and (model.lidar.layers, model.lidar.channels) == (2, 32)
    assert model.encoder.channels == (64,), "a list is replaced, not prolonged"


def test_a_base_may_have_a_base_in_another_folder(tmp_path):
    (tmp_path / "sub").mkdir()
    write(tmp_path, low=LIDAR + "data: {sweeps: 1, workers: 1}")
    write(tmp_path / "sub", middle="base: ../low.yaml\ndata: {sweeps: 2}")
    config = load_config(write(tmp_path, top="base: sub/middle.yaml\ndata: {max_points: 3}"), ["data.workers=4"])
    assert (config.data.workers, config.data.sweeps, config.data.max_points) == (4, 2, 3)


def test_null_turns_a_section_of_the_base_off(tmp_path):
    low = "task: detection\nmodel: {lidar: {}, camera: {}, fusion: {}}\ntrain: {stage: teacher}"
    top = write(tmp_path, low=low, top="base: low.yaml\nmodel: {camera: null, fusion: null}\ntrain: {stage: student}")
    assert load_config(top).model.camera is None and load_config(top).model.lidar is not None
    overrides = ["model.camera.stride=8", "model.fusion.blocks=2", "train.stage=teacher"]
    assert load_config(top, overrides).model.fusion is not None, "--set turns it on again"


def test_the_resolved_config_has_no_base(tmp_path):
    config = load_config(write(tmp_path, low=LIDAR, top="base: low.yaml"))
    stored = dump_config(config)
    assert "base" not in yaml.safe_load(stored)
    assert load_config(write(tmp_path, top=stored)) == config


def test_a_wrong_base_is_named_with_the_file_that_wants_it(tmp_path):
    top = write(tmp_path, low="- 1", broken="a: [", top="base: nowhere.yaml")
    missing = f"{tmp_path}/nowhere.yaml (the base of {top})"
    assert refused(top) == f"cannot read the config {missing}: No such file or directory"
    top.write_text("base: low.yaml")
    assert refused(top) == f"{tmp_path}/low.yaml (the base of {top}) must hold a YAML mapping, got list"
    top.write_text("base: broken.yaml")
    assert f"{tmp_path}/broken.yaml (the base of {top}) is not valid YAML" in refused(top)
    for value in ("null", "3", "[low.yaml]"):
        top.write_text(f"base: {value}")
        assert "base must be the path of a YAML file" in refused(top)


def test_bases_that_go_in_a_circle_are_named_in_order(tmp_path):
    top = write(tmp_path, top="base: a.yaml", a="base: b.yaml", b="base: ./a.yaml")
    chain = " -> ".join(f"{tmp_path}/{name}.yaml" for name in ["top", "a", "b", "a"])
    assert refused(top) == f"{tmp_path}/b.yaml: the bases go in a circle: {chain}"
    top.write_text("base: top.yaml")
    assert refused(top).endswith(f"{top} -> {top}")


def test_an_unknown_key_over_a_base_names_the_nearest(tmp_path):
    top = write(tmp_path, low=LIDAR, top="base: low.yaml\ntrain: {epoch: 3}")
    assert refused(top) == f"{top}: unknown key train.epoch, did you mean epochs?"
    top.write_text(LIDAR + "bases: low.yaml")
    assert refused(top) == f"{top}: unknown key bases, did you mean base?"
    top.write_text(LIDAR)
    assert "in the config file itself" in refused(top, "base=low.yaml")


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda path: str(path.relative_to(CONFIGS)))
def test_shipped_recipes_are_complete_and_say_what_they_are(recipe):
    config = load_config(recipe)
    assert recipe.read_text().startswith("# ")
    if recipe.parent.name in ("detection", "segmentation"):
        assert config.task == recipe.parent.name
    *distill, sensors = recipe.stem.split("-")
    assert config.train.stage == ("distill" if distill else "teacher" if sensors == "teacher" else "student")
    assert (config.model.camera is not None) == (sensors in ("camera", "teacher"))
    assert (config.model.lidar is not None) == (sensors in ("lidar", "teacher"))


def test_distilled_and_plain_students_are_the_same_model():
    pairs = [(path, path.with_name(path.name.removeprefix("distill-"))) for path in CONFIGS.rglob("distill-*.yaml")]
    assert len(pairs) == 8
    for distilled, plain in pairs:
        assert load_config(distilled).model == load_config(plain).model


@pytest.mark.parametrize("scenes", [0, -1])
def test_a_number_of_scenes_is_positive(scenes):
    assert "data.train_scenes" in refused(CONFIGS / "one-frame" / "lidar.yaml", f"data.train_scenes={scenes}")
