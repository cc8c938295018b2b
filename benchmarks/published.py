"""Projections against published measurements: how good is ``vexkd.engines.projection``?

    python -m benchmarks.published [--json docs/results/projections.json]

The published networks are counted by hand from their public descriptions, layer by layer: operations, and the bytes
that each layer reads and writes. What others measured stands beside the projected interval. The efficiencies of the
projection were taken from the rows marked ``calibration``; the others test them.
"""

import argparse
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

from rich.console import Console
from rich.table import Table

from vexkd.engines.cards import find_card
from vexkd.engines.manifest import Cost, StageCost
from vexkd.engines.projection import Interval, project
from vexkd.plugins.files import write_text

CAMERAS = 6
BITS = {"float32": 4, "float16": 2, "int8": 1}
BEVDET_README = "BEVDet's README, network only"
BEVDET_CPP = "bevdet-tensorrt-cpp's README"


class Layer(NamedTuple):
    """A convolution with what is fused into it."""

    inputs: int
    outputs: int
    kernel: int
    positions: int
    """Of the output, in all images together."""
    read: int
    """Values it reads: its input, and a residual."""

    @property
    def macs(self) -> int:
        """Multiply-adds."""
        return self.inputs * self.outputs * self.kernel**2 * self.positions

    @property
    def weights(self) -> int:
        """Weights."""
        return self.inputs * self.outputs * self.kernel**2

    @property
    def values(self) -> int:
        """Values read and written."""
        return self.read + self.outputs * self.positions


def conv(inputs: int, outputs: int, kernel: int, positions: int, stride: int = 1, residual: bool = False) -> Layer:
    read = inputs * positions * stride**2 + (outputs * positions if residual else 0)
    return Layer(inputs, outputs, kernel, positions, read)


def resnet50(height: int, width: int, images: int) -> Iterator[Layer]:
    """ResNet-50 without its classifier; the maximum after its stem is left out."""
    positions = images * height * width // 4
    yield conv(3, 64, 7, positions, 2)
    positions, inputs = positions // 4, 64
    for number, (layers, inner) in enumerate(((3, 64), (4, 128), (6, 256), (3, 512))):
        stride = 1 if number == 0 else 2
        smaller = positions // stride**2
        for layer in range(layers):
            first = layer == 0
            yield conv(inputs, inner, 1, positions if first else smaller)
            yield conv(inner, inner, 3, smaller, stride if first else 1)
            yield conv(inner, 4 * inner, 1, smaller, residual=True)
            if first:
                yield conv(inputs, 4 * inner, 1, smaller, stride)
            inputs = 4 * inner
        positions = smaller


def basic_blocks(inputs: int, widths: Sequence[int], positions: int) -> Iterator[Layer]:
    """BEVDet's residual stages: each halves, two blocks of two convolutions and a convolution beside the first."""
    for width in widths:
        positions //= 4
        yield conv(inputs, width, 3, positions, 2)
        yield conv(inputs, width, 3, positions, 2)
        yield conv(width, width, 3, positions, residual=True)
        yield conv(width, width, 3, positions)
        yield conv(width, width, 3, positions, residual=True)
        inputs = width


def bevdet_bev(inputs: int, widths: tuple[int, int, int], cells: int = 128 * 128) -> Iterator[Layer]:
    """BEVDet's BEV encoder, its FPN to 256 channels, and a centre head with 36 towers."""
    yield from basic_blocks(inputs, widths, cells)
    yield conv(widths[0] + widths[2], 512, 3, cells // 4)
    yield conv(512, 512, 3, cells // 4)
    yield conv(512, 256, 3, cells)
    yield conv(256, 256, 1, cells)
    yield conv(256, 64, 3, cells)
    for classes in (1, 2, 2, 1, 2, 2):
        for codes in (2, 1, 3, 2, 2, classes):
            yield conv(64, 64, 3, cells)
            yield conv(64, codes, 3, cells)


def neck(channels: int, pixels: int) -> Iterator[Layer]:
    """FPN from strides 16 and 32 to stride 16."""
    yield conv(1024, channels, 1, pixels)
    yield conv(2048, channels, 1, pixels // 4)
    yield conv(channels, channels, 3, pixels)


def depth_net(pixels: int) -> Iterator[Layer]:
    """BEVDepth's depth net as BEVDet has it: residual blocks, an atrous pyramid of 96 channels, 118 bins."""
    yield conv(256, 256, 3, pixels)
    yield conv(256, 80, 1, pixels)
    for _ in range(3):
        yield conv(256, 256, 3, pixels)
        yield conv(256, 256, 3, pixels, residual=True)
    yield conv(256, 96, 1, pixels)
    for _ in range(3):
        yield conv(256, 96, 3, pixels)
    yield conv(5 * 96, 256, 1, pixels)
    yield conv(256, 118, 1, pixels)


PIXELS = CAMERAS * 16 * 44
# BEVDet's first release has a neck of 512 channels; later ones have 256, which is 5 % less in all.
NETWORKS: dict[str, list[Layer]] = {
    "BEVDet-R50": [
        *resnet50(256, 704, CAMERAS),
        *neck(512, PIXELS),
        conv(512, 59 + 64, 1, PIXELS),
        *bevdet_bev(64, (128, 256, 512)),
    ],
    "BEVDet-R50 long-term depth, image stage": [*resnet50(256, 704, CAMERAS), *neck(256, PIXELS), *depth_net(PIXELS)],
    # Nine frames of 80 channels come in.
    "BEVDet-R50 long-term depth, BEV stage": [*bevdet_bev(9 * 80, (160, 320, 640))],
}


class Published(NamedTuple):
    """What others measured, in milliseconds."""

    network: str
    card: str
    kind: Literal["float32", "float16", "int8"]
    milliseconds: float
    source: str
    calibration: bool = False


IMAGE, BEV = "BEVDet-R50 long-term depth, image stage", "BEVDet-R50 long-term depth, BEV stage"
PUBLISHED = (
    Published(IMAGE, "RTX A4000", "float16", 8.627, BEVDET_CPP, calibration=True),
    Published(BEV, "RTX A4000", "float16", 2.966, BEVDET_CPP, calibration=True),
    Published("BEVDet-R50", "RTX 3090", "float32", 14.0, BEVDET_README),
    Published("BEVDet-R50", "RTX 3090", "float16", 4.94, BEVDET_README),
    Published("BEVDet-R50", "RTX 3090", "int8", 2.93, BEVDET_README),
    Published(IMAGE, "RTX A4000", "float32", 16.559, BEVDET_CPP),
    Published(BEV, "RTX A4000", "float32", 6.848, BEVDET_CPP),
    Published(IMAGE, "RTX A4000", "int8", 3.929, BEVDET_CPP),
    Published(BEV, "RTX A4000", "int8", 1.771, BEVDET_CPP),
    Published(IMAGE, "Orin", "float32", 38.09, BEVDET_CPP),
    Published(BEV, "Orin", "float32", 11.893, BEVDET_CPP),
    Published(IMAGE, "Orin", "float16", 17.025, BEVDET_CPP),
    Published(BEV, "Orin", "float16", 5.747, BEVDET_CPP),
    Published(IMAGE, "Orin", "int8", 10.340, BEVDET_CPP),
    Published(BEV, "Orin", "int8", 4.004, BEVDET_CPP),
)


def cost_of(layers: Sequence[Layer], kind: str) -> Cost:
    """Everything in one stage; all layers in one type."""
    gmacs, weights = sum(layer.macs for layer in layers) / 1e9, sum(layer.weights for layer in layers)
    size = BITS[kind] / 1e6
    stage = StageCost(
        stage="network",
        gflops=2 * gmacs,
        gmacs={kind: gmacs},
        parameters=weights,
        megabytes=size * (weights + sum(layer.values for layer in layers)),
        weight_megabytes=size * weights,
        kernel_megabytes=tuple(size * (layer.weights + layer.values) for layer in layers),
        launches=len(layers),
    )
    return Cost(gflops=2 * gmacs, gflops_by_operator={"Conv": 2 * gmacs}, parameters=weights, stages=(stage,))


def projected(published: Published) -> Interval:
    """Milliseconds of the network on the card, from counts alone."""
    cost = cost_of(NETWORKS[published.network], published.kind)
    return project(cost, (), find_card(published.card)).network_ms


def share_of_peak(published: Published) -> float:
    """Of the card's peak for products, while the published measurement ran."""
    gflops = cost_of(NETWORKS[published.network], published.kind).gflops
    return gflops / published.milliseconds / find_card(published.card).product_tops[published.kind]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, default=Path("docs/results/projections.json"))
    arguments = parser.parse_args()
    table = Table("network", "GFLOPs", "card", "type", "published ms", "projected ms", "share of peak", "outside by")
    rows = []
    for published in PUBLISHED:
        interval, gflops = projected(published), cost_of(NETWORKS[published.network], published.kind).gflops
        error, share = interval.error(published.milliseconds), share_of_peak(published)
        told = f"{interval.low:.2f} .. {interval.high:.2f}"
        names = (published.network, f"{gflops:.0f}", published.card, published.kind, f"{published.milliseconds:.2f}")
        table.add_row(*names, told, f"{share:.2f}", f"{error:+.0%}" if error else "")
        figures = {"gflops": gflops, "projected_ms": interval.model_dump(), "share_of_peak": share, "outside_by": error}
        rows.append(published._asdict() | figures)
    Console(width=160).print(table)
    record = {"command": "python -m benchmarks.published", "rows": rows}
    write_text(arguments.json, json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
