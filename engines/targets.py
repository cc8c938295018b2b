"""The GPUs that engines are built for: by name, by compute capability, or the one of this machine."""

import re
from collections.abc import Sequence
from typing import NamedTuple

from vexkd.engines.gpu import find_gpus
from vexkd.plugins.errors import UserError

TARGETS = {
    "rtx2080ti": "7.5",
    "a100": "8.0",
    "rtx3090": "8.6",
    "orin": "8.7",
    "rtx4090": "8.9",
    "l4": "8.9",
    "h100": "9.0",
    "thor": "11.0",
    "rtx5090": "12.0",
}
"""Compute capability of each target by name; an engine runs on every GPU of its capability, whatever its name."""
THIS = "this"
_CAPABILITY = re.compile(r"(\d{1,2})\.(\d)|sm_?(\d{1,2})(\d)")


class Target(NamedTuple):
    """What an engine is built for."""

    name: str
    """As the manifest and the engine's file have it: ``rtx4090``, or ``sm89`` where the user named no card."""
    compute_capability: str
    """``8.9``."""


def find_target(text: str) -> Target:
    """A target from a name of ``TARGETS``, a capability such as ``8.9`` or ``sm89``, or ``this``.

    Raises:
        UserError: it is none of them, or ``this`` machine has no GPU.
    """
    if text in TARGETS:
        return Target(text, TARGETS[text])
    if text == THIS:
        gpus = find_gpus()
        if not gpus:
            raise UserError(f"target {THIS} is this machine's GPU, and none was found; name one: {', '.join(TARGETS)}")
        return _unnamed(gpus[0].compute_capability)
    match = _CAPABILITY.fullmatch(text)
    if match is None:
        raise UserError(
            f"unknown target {text!r}; known are: {', '.join(TARGETS)}, {THIS} (the GPU of this machine), "
            "or a compute capability such as 8.9"
        )
    return _unnamed(f"{match[1] or match[3]}.{match[2] or match[4]}")


def find_targets(texts: Sequence[str]) -> list[Target]:
    """Targets in the order given, the first of each capability only: one engine serves all of that capability."""
    found: dict[str, Target] = {}
    for target in map(find_target, texts):
        found.setdefault(target.compute_capability, target)
    return list(found.values())


def serves(held: Sequence[str], capability: str) -> bool:
    """Whether GPU code runs on a compute capability.

    Args:
        held: what there is code for, as :func:`vexkd.plugins.library.cuda_architectures` lists it.
        capability: ``8.9``.
    """

    def one(code: str) -> bool:
        wanted, found = _numbers(capability), _numbers(code.removesuffix("+"))
        # Machine code runs on later minors of its major.
        return found <= wanted and (code.endswith("+") or found[0] == wanted[0])

    return any(one(code) for code in held)


def _numbers(capability: str) -> tuple[int, int]:
    major, _, minor = capability.partition(".")
    return int(major), int(minor)


def _unnamed(capability: str) -> Target:
    return Target(f"sm{capability.replace('.', '')}", capability)
