"""Frames for the commands that run bundles: keyframes of a data set, else a made-up one."""

from collections.abc import Iterator
from pathlib import Path

from vexkd.engines.bundle import Bundle
from vexkd.engines.preprocess import Frame
from vexkd.engines.probe import probe_frame


def find_frames(
    bundle: Bundle, data: Path | None, split: str, samples: int | None, seed: int
) -> tuple[Iterator[Frame], int, str]:
    """Frames for a bundle, how many, and what they are in words.

    Raises:
        UserError: see :func:`vexkd.cli.inference.open_frames`.
    """
    manifest = bundle.manifest
    if data is None:
        frame = probe_frame(manifest.grid, manifest.camera, manifest.points, seed)
        return iter((frame,)), 1, f"a made-up frame of seed {seed}"
    from vexkd.cli.inference import open_frames

    frames, count = open_frames(bundle, data, split, samples)
    return frames, count, f"{count} keyframes of {data}"
