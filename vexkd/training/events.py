"""Scalars for TensorBoard, written by the thread that trains.

TensorBoard's own writer writes in a thread of its own, where nobody hears that the disk is full.
"""

import os
import socket
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tensorboard.compat.proto.event_pb2 import Event, SessionLog  # type: ignore[attr-defined]  # protobuf makes the names
from tensorboard.compat.proto.summary_pb2 import Summary  # type: ignore[attr-defined]
from tensorboard.summary.writer.record_writer import RecordWriter

from vexkd.plugins.files import naming_when_full


class EventFile:
    """An event file of its own in a run folder, whose events replace those of other files from step ``first`` on."""

    def __init__(self, out: Path, first: int) -> None:
        self.path = out / f"events.out.tfevents.{time.time():010.0f}.{socket.gethostname()}.{os.getpid()}"
        self._file = self.path.open("ab")
        self._records = RecordWriter(self._file)
        # What TensorBoard takes as "forget all steps from this one on".
        self._write(step=first, file_version="brain.Event:2")
        self._write(step=first, session_log=SessionLog(status=SessionLog.START))

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """Add one point to the curve of each name."""
        self._write(step=step, summary=Summary(value=[Summary.Value(tag=k, simple_value=v) for k, v in values.items()]))

    def close(self) -> None:
        """Close the file; everything in it is written already."""
        self._file.close()

    def _write(self, **content: Any) -> None:
        with naming_when_full(self.path):
            self._records.write(Event(wall_time=time.time(), **content).SerializeToString())
            self._file.flush()
