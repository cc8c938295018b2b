"""Frames for the commands that run bundles: keyframes of a data set, else a made-up one."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from vexkd.engines.bundle import Bundle
from vexkd.engines.preprocess import Frame
from vexkd.engines.probe import probe_frame


def find_frames(
    bundles: Sequence[Bundle], data: Path | None, split: str, samples: int | None, seed: int
) -> tuple[Iterator[Frame], int, str]:
    """Frames with the sensors of all the bundles, how many, and what they are in words.

    Raises:
        UserError: see :func:`vexkd.cli.inference.open_frames`.
    """
    manifests = [bundle.manifest for bundle in bundles]
    if data is None:
        camera = next((manifest.camera for manifest in manifests if manifest.camera is not None), None)
        points = next((manifest.points for manifest in manifests if manifest.points is not None), None)
        return iter((probe_frame(manifests[0].grid, camera, points, seed),)), 1, f"a made-up frame of seed {seed}"
    from vexkd.cli.inference import open_frames

    # The sweeps are those of a bundle that reads points.
    chosen = next((bundle for bundle in bundles if bundle.manifest.points is not None), bundles[0])
    frames, count = open_frames(chosen, data, split, samples)
    return frames, count, f"{count} keyframes of {data}"
