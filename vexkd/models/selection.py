"""How a detection head's boxes are selected, as its config says."""

from vexkd.classes import DETECTION_CLASSES
from vexkd.config import HeadConfig, SuppressionConfig
from vexkd.models.center_targets import class_layout
from vexkd.plugins.postprocess import BEVDET_SCALES, NUSCENES_RADII, ClassRule

ABSENT = ClassRule(-1, "circle", 0.0)
"""Of a class that the head does not know, and of which there are no boxes."""


def class_rules(config: HeadConfig) -> tuple[ClassRule, ...]:
    """One for each of ``DETECTION_CLASSES``, as :func:`vexkd.plugins.postprocess.select_boxes` takes them."""
    each = config.suppression * (len(config.groups) if len(config.suppression) == 1 else 1)
    group_of = dict(zip(*class_layout(config), strict=True))
    return tuple(
        _rule(label, group_of[label], each[group_of[label]]) if label in group_of else ABSENT
        for label in range(len(DETECTION_CLASSES))
    )


def _rule(label: int, group: int, suppression: SuppressionConfig) -> ClassRule:
    name = DETECTION_CLASSES[label]
    if suppression.kind == "circle":
        return ClassRule(group, "circle", suppression.radii.get(name, NUSCENES_RADII[label]))
    scale = suppression.scales.get(name, BEVDET_SCALES[label]) if suppression.kind == "scaled" else 1.0
    return ClassRule(group, suppression.kind, suppression.iou, scale)
