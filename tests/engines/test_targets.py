"""What a user may call a GPU, and which GPU code serves it."""

import pytest

from vexkd.engines import targets
from vexkd.engines.gpu import Gpu
from vexkd.engines.targets import TARGETS, Target, find_target, find_targets, serves
from vexkd.plugins.errors import UserError


@pytest.mark.parametrize(
    ("text", "name", "capability"),
    [
        ("rtx4090", "rtx4090", "8.9"),
        ("orin", "orin", "8.7"),
        ("8.9", "sm89", "8.9"),
        ("sm89", "sm89", "8.9"),
        ("sm_120", "sm120", "12.0"),
        ("12.1", "sm121", "12.1"),
    ],
)
def test_a_target_is_a_name_or_a_capability(text: str, name: str, capability: str) -> None:
    assert find_target(text) == Target(name, capability)


def test_every_name_is_a_plain_file_name_and_finds_itself() -> None:
    for name, capability in TARGETS.items():
        assert name.isalnum() and find_target(name) == (name, capability)


@pytest.mark.parametrize("text", ["gtx1080", "", "8", "89", "8.9.1", "sm8", "sm1234", "RTX4090", "8,9", " 8.9"])
def test_what_is_no_target_is_refused_with_those_that_are(text: str) -> None:
    with pytest.raises(UserError, match=r"unknown target .* known are: rtx2080ti, a100, .*, this \(.* such as 8\.9"):
        find_target(text)


def test_this_is_the_gpu_that_is_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(targets, "find_gpus", lambda: [Gpu(0, "NVIDIA L4", "8.9", 24_000)])
    assert find_target("this") == Target("sm89", "8.9")
    monkeypatch.setattr(targets, "find_gpus", list)
    with pytest.raises(UserError, match="target this is this machine's GPU, and none was found"):
        find_target("this")


def test_targets_of_one_capability_share_an_engine() -> None:
    found = find_targets(["l4", "rtx3090", "rtx4090", "8.9", "sm86"])
    assert found == [Target("l4", "8.9"), Target("rtx3090", "8.6")]


@pytest.mark.parametrize(
    ("held", "capability", "expected"),
    [
        (("8.0", "8.6", "8.9", "12.0", "7.5+", "12.0+"), "8.9", True),
        (("8.0",), "8.7", True),  # a later minor of the same major
        (("8.9",), "8.6", False),
        (("8.9",), "9.0", False),
        (("7.5+",), "9.0", True),  # compiled from PTX by the driver
        (("12.0+",), "8.9", False),
        ((), "8.9", False),
        (("10.0",), "12.0", False),
        (("12.0",), "12.1", True),
    ],
)
def test_gpu_code_serves_its_major_and_ptx_all_later_ones(
    held: tuple[str, ...], capability: str, expected: bool
) -> None:
    assert serves(held, capability) == expected
