"""What a head's config says about suppression, as rules per class."""

import pytest
from pydantic import ValidationError

from vexkd.classes import DETECTION_CLASSES
from vexkd.config import HeadConfig, SuppressionConfig
from vexkd.models.selection import ABSENT, class_rules
from vexkd.plugins.postprocess import BEVDET_SCALES, NUSCENES_RADII, ClassRule


def test_by_default_every_class_has_its_circle_and_the_group_of_its_heat_map() -> None:
    groups = (0, 1, 1, 2, 2, 3, 4, 4, 5, 5)
    expected = [ClassRule(group, "circle", radius) for group, radius in zip(groups, NUSCENES_RADII, strict=True)]
    assert list(class_rules(HeadConfig())) == expected
    few = class_rules(HeadConfig(groups=(("traffic_cone", "car"), ("bus",))))
    assert [rule.group for rule in few] == [0, -1, -1, 1, -1, -1, -1, -1, -1, 0]
    assert few[1] == ABSENT


def test_one_kind_for_all_groups_or_one_for_each() -> None:
    rotated = class_rules(HeadConfig(suppression=(SuppressionConfig(kind="rotated", iou=0.3),)))
    assert {rule[1:] for rule in rotated} == {("rotated", 0.3, 1.0)}
    head = HeadConfig(
        groups=(("car",), ("pedestrian", "traffic_cone"), ("bus",)),
        suppression=(
            SuppressionConfig(radii={"car": 1.5}),
            SuppressionConfig(kind="scaled", scales={"pedestrian": 3.0}),
            SuppressionConfig(kind="rotated"),
        ),
    )
    rules = dict(zip(DETECTION_CLASSES, class_rules(head), strict=True))
    assert rules["car"] == ClassRule(0, "circle", 1.5)
    assert rules["pedestrian"] == ClassRule(1, "scaled", 0.2, 3.0)
    assert rules["traffic_cone"] == ClassRule(1, "scaled", 0.2, BEVDET_SCALES[9])
    assert rules["bus"] == ClassRule(2, "rotated", 0.2)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"kind": "square"}, "Input should be 'circle', 'rotated' or 'scaled'"),
        ({"radii": {"tram": 2.0}}, "head.suppression names tram; classes are car, "),
        ({"kind": "rotated", "radii": {"car": 2.0}}, "head.suppression.radii belongs to kind circle, not to rotated"),
        ({"iou": 0.5}, "head.suppression.iou belongs to kind rotated or scaled, not to circle"),
        ({"kind": "rotated", "scales": {"car": 2.0}}, "head.suppression.scales belongs to kind scaled, not to rotated"),
        ({"kind": "scaled", "scales": {"car": 0.0}}, "Input should be greater than 0"),
        ({"kind": "rotated", "iou": 1.5}, "Input should be less than or equal to 1"),
    ],
)
def test_what_does_not_belong_together_is_refused(settings: dict[str, object], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        SuppressionConfig.model_validate(settings)


def test_a_wrong_number_of_suppressions_is_refused() -> None:
    with pytest.raises(ValidationError, match=r"one for each of the 6 head\.groups, got 2"):
        HeadConfig(suppression=(SuppressionConfig(),) * 2)


@pytest.mark.parametrize("kind", ["circle", "rotated", "scaled"])
def test_a_resolved_config_reads_back(kind: str) -> None:
    config = SuppressionConfig.model_validate({"kind": kind})
    assert SuppressionConfig.model_validate(config.model_dump(mode="json")) == config
