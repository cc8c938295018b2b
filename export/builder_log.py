"""What a TensorRT builder says, where a build fails: kept whole in a file, and one line of it that tells why."""

import re
from collections.abc import Sequence
from pathlib import Path

from vexkd.engines.targets import Target
from vexkd.plugins.files import write_text

Log = Sequence[tuple[str, str]]
"""Severity and text of each message, as :class:`vexkd.engines.tensorrt_flavour.Messages` heard them."""

OURS = "vexkd: "
"""How messages of our plugins begin."""
_ERRORS = ("error", "internal_error")
_FRAME = re.compile(r"While parsing node number|--- (Begin|End) node ---|ScopedCudaStream|catchCudaError|getCurrentCC")
"""Lines that stand around a reason, and complaints of a machine without a GPU that follow every error on it."""
_PARSING = re.compile(r"While parsing node number \d+ \[(\w+) -> \"([^\"]*)\"")
_PLACE = re.compile(r"^(\[?[\w./]+(::\w+)*(:\d+|::\d+)\]?:? (ERROR: )?)+(In function \w+:)?\s*(\[\d+\] )?", re.DOTALL)
_SOURCE = re.compile(r" In \w+ at /\S+:\d+")
_VAGUE = re.compile(r"Could not find any implementation|Failed to (find|create) any|insufficient workspace")
"""Errors that say that nothing was left, and not what took it away: a warning before them may."""


def engine_log(bundle: Path, target: Target) -> Path:
    """Where the log of an engine that fails is kept: beside its bundle."""
    return bundle.parent / f"{bundle.name}.{target.name}.log"


def decisive_line(log: Log) -> str:
    """The message that tells why a build failed, on one line, without places in TensorRT's sources.

    TensorRT prints the cause first and then one error per level that the failure passes on its way up, so the last is
    the least telling. A message of our own plugins is nearer to the cause than what TensorRT makes of it.
    """
    errors = [(at, text) for at, (severity, text) in enumerate(log) if severity in _ERRORS]
    own = [text for _, text in errors if text.startswith(OURS)]
    causes = [(at, text) for at, text in errors if not _FRAME.search(text)] or errors
    if not causes:
        return "no reason given"
    at, cause = causes[0]
    told = _plain(own[0] if own else cause)
    warnings = [text for severity, text in log[:at] if severity == "warning"]
    if not own and warnings and _VAGUE.search(cause):
        told += f" (before it: {_plain(warnings[-1])})"
    node = next((match for _, text in errors if (match := _PARSING.search(text))), None)
    return told if node is None else f"{told} (at {node[1]}, which makes {node[2]})"


def write_log(path: Path, head: str, log: Log) -> None:
    """Write a whole log, one message after the other with its severity, under a line that says what was built."""
    write_text(path, "\n".join([head, "", *(f"[{severity}] {text}" for severity, text in log)]) + "\n")


def _plain(message: str) -> str:
    line = _PLACE.sub("", message.strip(), count=1)
    return " ".join(_SOURCE.sub("", line).split())
