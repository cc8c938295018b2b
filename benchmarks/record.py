"""What a benchmark leaves behind: its rows, and all that is needed to judge and repeat them."""

import json
import shlex
import sys
from pathlib import Path
from typing import Any

from vexkd.engines.machine import describe_machine
from vexkd.plugins.files import write_text
from vexkd.plugins.library import build_info
from vexkd.training.machine import git_commit


def write_record(file: Path, benchmark: str, rows: list[dict[str, Any]], load: tuple[float, float, float]) -> None:
    """Write rows as JSON with machine, library, commit and command; ``load`` is the system's before the first run."""
    record = {
        "rows": rows,
        "load_before": load,
        "machine": describe_machine().model_dump(),
        "library": build_info(),
        "commit": git_commit(),
        "command": shlex.join(["python", "-m", f"benchmarks.{benchmark}", *sys.argv[1:]]),
    }
    file.parent.mkdir(parents=True, exist_ok=True)
    write_text(file, json.dumps(record, indent=2) + "\n")
