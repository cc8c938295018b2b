"""The suites as plain data: which rows each compares, and what every row means."""

from dataclasses import dataclass
from typing import Literal

from vexkd.models.missing import Sensor
from vexkd.models.perception import Task

Kind = Literal["teacher", "plain", "distilled"]

TASKS: tuple[Task, ...] = ("detection", "segmentation")
SENSORS: tuple[Sensor, ...] = ("lidar", "camera")
BOTH = "lidar+camera"
"""The sensors of a row that is a teacher, in records and tables."""

SENSOR_DROPOUT = 0.3


@dataclass(frozen=True)
class Teacher:
    """A fusion teacher: the recipe's own and what differs from it. One is trained for all rows and seeds it teaches."""

    overrides: tuple[str, ...] = ()


OWN_TEACHER = Teacher()
CONV_TEACHER = Teacher(("model.fusion.kind=conv",))
ALL_SCENES_TEACHER = Teacher(("data.train_scenes=null",))


@dataclass(frozen=True)
class Row:
    """One training setup.

    Attributes:
        name: as tables show it and ``--rows`` takes it.
        description: one line that says what is trained and what it is compared for.
        kind: which recipe it starts from.
        overrides: settings ``a.b=c`` upon that recipe.
        teacher: who teaches a distilled student.
        calibrated: the KD term gets the weight at which its gradient is as large as that of the recipe's own loss.
        once: trained with the first seed only, because all seeds share it.
        limited_only: belongs to recipes that limit the training scenes.
        without: sensors that are left out in further evaluations.
    """

    name: str
    description: str
    kind: Kind
    overrides: tuple[str, ...] = ()
    teacher: Teacher = OWN_TEACHER
    calibrated: bool = False
    once: bool = False
    limited_only: bool = False
    without: tuple[Sensor, ...] = ()


@dataclass(frozen=True)
class Suite:
    """Rows that are compared with one of them, the baseline, seed by seed.

    Attributes:
        name: what ``vexkd ablate`` takes.
        question: what the suite asks.
        baseline: name of the row that the others are compared with.
        rows: in the order of the table.
        teachers: the rows are teachers, which read both sensors.
    """

    name: str
    question: str
    baseline: str
    rows: tuple[Row, ...]
    teachers: bool = False


PLAIN = Row("plain", "the student alone, on the loss of its task", "plain")

MAIN = Suite(
    "main",
    "What does distillation add to a student with one sensor, and how far is it from its teacher?",
    PLAIN.name,
    (
        Row("teacher", "the fusion teacher itself, with both sensors", "teacher", once=True),
        PLAIN,
        Row("distilled", "the same student, taught by the teacher through the recipe's masks", "distilled"),
        Row(
            "distilled from all scenes",
            "the same, with a teacher trained on every scene of the split; the student sees no more scenes than before",
            "distilled",
            teacher=ALL_SCENES_TEACHER,
            limited_only=True,
        ),
    ),
)

COMPONENTS = Suite(
    "components",
    "What does each part of the method add: the fusion module, low-level and high-level masked distillation?",
    "baseline",
    (
        Row("baseline", "the student alone: no teacher", "plain"),
        Row(
            "+MGFM",
            "imitates the whole maps of a teacher with the modality-general fusion, both levels, no masks",
            "distilled",
            ("distill.levels=[low,high]", "distill.mask=whole"),
        ),
        Row(
            "+L-MFD",
            "masked low-level features of a teacher with a convolutional fuser; without a query, masks start at random",
            "distilled",
            ("distill.levels=[low]", "distill.mask=random_query"),
            CONV_TEACHER,
        ),
        Row(
            "+H-MFD",
            "masked high-level features of a teacher with a convolutional fuser; masks start at random",
            "distilled",
            ("distill.levels=[high]", "distill.mask=random_query"),
            CONV_TEACHER,
        ),
        Row(
            "all",
            "masked features of both levels, teacher with the modality-general fusion, whose query starts the masks",
            "distilled",
            ("distill.levels=[low,high]", "distill.mask=learned"),
        ),
    ),
)

MASKS = Suite(
    "masks",
    "Which positions should be imitated? Everything but the mask is the recipe's, the weight too.",
    "none",
    (
        Row("none", "the student alone: no distillation", "plain"),
        Row("whole", "every position of the map alike", "distilled", ("distill.mask=whole",)),
        Row("key_points", "nine points of every annotated box", "distilled", ("distill.mask=key_points",)),
        Row("gaussian", "Gaussians at the centres of annotated boxes", "distilled", ("distill.mask=gaussian",)),
        Row("activation", "where the teacher's feature is large", "distilled", ("distill.mask=activation",)),
        Row("random_query", "learned masks from a random query", "distilled", ("distill.mask=random_query",)),
        Row("learned", "learned masks from the fusion's query", "distilled", ("distill.mask=learned",)),
    ),
)

DEPTH = Suite(
    "depth",
    "How many blocks does the mask generator need, and after how many epochs do its masks settle?",
    "1 block",
    tuple(
        Row(
            "1 block" if blocks == 1 else f"{blocks} blocks",
            f"masks by {blocks} x deformable cross-attention, learned until they settle",
            "distilled",
            # The limit on mask learning goes, so that masks halt when they have settled and not before.
            ("distill.mask=learned", f"distill.blocks={blocks}", "distill.mask_epochs=null"),
        )
        for blocks in (1, 2, 3, 4)
    ),
)

LOSSES = Suite(
    "losses",
    "Which distance should features be compared by, when all pull equally hard?",
    "attention",
    tuple(
        Row(loss, description, "distilled", (f"distill.loss={loss}",), calibrated=True)
        for loss, description in (
            ("attention", "distance of attention maps, channels summed"),
            ("l1", "absolute distance of features, after an adapter"),
            ("l2", "squared distance of features, after an adapter"),
            ("smooth_l1", "smooth absolute distance of features, after an adapter"),
        )
    ),
)

ROBUSTNESS = Suite(
    "robustness",
    "How much of a fusion teacher is left when one of its sensors is missing?",
    "conv",
    tuple(
        Row(
            kind + (" + sensor dropout" if dropout else ""),
            f"{told}" + (f", trained with one sensor missing in {dropout:.0%} of the steps" if dropout else ""),
            "teacher",
            (f"model.fusion.kind={kind}", *((f"train.sensor_dropout={dropout}",) if dropout else ())),
            without=SENSORS,
        )
        for dropout in (0.0, SENSOR_DROPOUT)
        for kind, told in (("mgfm", "modality-general fusion"), ("conv", "convolutional fuser"))
    ),
    teachers=True,
)

LEADERBOARD = Suite(
    "leaderboard",
    "How do the kinds of loss of published methods compare at equal steps, teacher and student? "
    "They are our implementations of the idea, not the methods' own code or figures.",
    PLAIN.name,
    (
        PLAIN,
        Row(
            "attention transfer",
            "the kind of loss of Zagoruyko and Komodakis, our implementation: attention maps, whole map",
            "distilled",
            ("distill.loss=attention", "distill.mask=whole"),
            calibrated=True,
        ),
        Row(
            "L2 whole map",
            "the kind of loss of FitNets, our implementation: squared distance after an adapter, whole map",
            "distilled",
            ("distill.loss=l2", "distill.mask=whole"),
            calibrated=True,
        ),
        Row(
            "gaussian masks",
            "the kind of mask of BEVDistill, our implementation: Gaussians at annotated centres",
            "distilled",
            ("distill.mask=gaussian",),
        ),
        Row(
            "key points",
            "the kind of mask of UniDistill, our implementation: nine points of every annotated box",
            "distilled",
            ("distill.mask=key_points",),
        ),
        Row(
            "activation masks",
            "the kind of mask of DistillBEV, our implementation: where the teacher's feature is large",
            "distilled",
            ("distill.mask=activation",),
        ),
        Row(
            "learned masks",
            "VeXKD's recipe: learned masks from the fusion's query",
            "distilled",
            ("distill.mask=learned",),
        ),
    ),
)

SUITES = (MAIN, COMPONENTS, MASKS, DEPTH, LOSSES, ROBUSTNESS, LEADERBOARD)


@dataclass(frozen=True)
class Scale:
    """How large everything is: the folder of recipes, settings upon all of them, and how many seeds.

    Attributes:
        name: what ``--scale`` takes.
        recipes: folder under ``configs/``.
        overrides: settings of every training.
        seeds: number of seeds, unless ``--seeds`` gives another.
    """

    name: str
    recipes: str
    overrides: tuple[str, ...]
    seeds: int


SCALES = (
    Scale("quick", "demo", ("train.epochs=1", "train.evaluate_every=0", "data.train_scenes=2"), 2),
    Scale("cpu", "demo", (), 3),
    Scale("nuscenes", "nuscenes", (), 1),
)
