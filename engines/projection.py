"""What a card would make of a counted model: a projection, an interval with its assumptions, never a measurement.

Four roofs limit a stage: products on tensor cores, other arithmetic, bytes to and from memory, and launches. Each end
of the interval has its efficiency, the share of a peak that networks get. At the fast end all roofs overlap, and
a kernel whose tensors fit into the L2 cache finds them there, but for its weights. At the slow end everything goes
through DRAM, and launches come on top of the slowest of the others: measured shares already hold what kernels wait for
memory.
"""

from collections.abc import Sequence
from typing import Literal, NamedTuple

from pydantic import BaseModel, ConfigDict

from vexkd.engines.cards import Card
from vexkd.engines.manifest import Cost, StageCost, Tensor

COPY = "copy to the GPU"
BYTES = {"uint8": 1, "int32": 4, "float32": 4}

Roof = Literal["products", "arithmetic", "memory", "launches", "link"]


class Efficiencies(NamedTuple):
    """Shares of the published peaks, and microseconds per launch; (slow end, fast end)."""

    products: tuple[float, float] = (0.35, 0.80)
    """From two published measurements: on an RTX A4000 in FP16, 227 GFLOPs of an image stage in 8.63 ms reach .34 of
    the peak, 178 GFLOPs of a BEV stage in 2.97 ms .78. What these shares make of thirteen other measurements stands in
    ``docs/bench.md``."""
    arithmetic: tuple[float, float] = (0.25, 0.80)
    """Element-wise arithmetic is seldom the roof; assumed."""
    memory: tuple[float, float] = (0.60, 0.92)
    """Streaming copies reach .92 of the published DRAM bandwidth; transposes and gathers less; assumed."""
    launch: tuple[float, float] = (4.0, 0.5)
    """Microseconds between kernels: a host that queues each of them, and a replayed CUDA graph; assumed."""


class Section(BaseModel):
    """Base of the projected values."""

    model_config = ConfigDict(frozen=True)


class Interval(Section):
    """Milliseconds, or frames per second."""

    low: float
    high: float

    def holds(self, value: float) -> bool:
        """Whether a value lies in it."""
        return self.low <= value <= self.high

    def error(self, value: float) -> float:
        """How far a measured value lies outside, as a share of the nearer end; 0 inside, negative below."""
        if value < self.low:
            return value / self.low - 1
        return max(0.0, value / self.high - 1)


class ProjectedStage(Section):
    """One stage on a card."""

    stage: str
    milliseconds: Interval
    roof: Roof
    """What takes longest at the fast end; ``link`` is the way from the host."""


class Projection(Section):
    """A model on a card that need not be here. Not a measurement."""

    card: str
    stages: tuple[ProjectedStage, ...]
    """Copying the inputs, then the stages of the manifest's cost."""
    network_ms: Interval
    """Without the copy of the inputs: what others call inference."""
    total_ms: Interval
    """From sensor data in the host's memory to the model's outputs."""
    fps: Interval
    """1 / ``total_ms``, nothing overlapping from one frame to the next."""
    assumptions: tuple[str, ...]

    def line(self) -> str:
        """One line for a table or a log; it says that nothing was measured."""
        low, high = self.fps.low, self.fps.high
        return f"projection for {self.card}, not measured: {low:.0f} to {high:.0f} frames per second"


def project(
    cost: Cost,
    inputs: Sequence[Tensor],
    card: Card,
    efficiencies: Efficiencies = Efficiencies(),  # noqa: B008
) -> Projection:
    """Project a bundle onto a card from what its manifest counts.

    Args:
        cost: ``manifest.cost``.
        inputs: ``manifest.inputs``, which are copied to the card for every frame.
        card: of :data:`vexkd.engines.cards.CARDS`.
        efficiencies: shares of the card's peaks.
    """
    stages = tuple(_stage(stage, card, efficiencies) for stage in cost.stages)
    copied = sum(BYTES[tensor.dtype] * _elements(tensor) for tensor in inputs) / 1e6
    copy = ProjectedStage(
        stage=COPY,
        milliseconds=Interval(
            low=copied / card.link_gbs / efficiencies.memory[1], high=copied / card.link_gbs / efficiencies.memory[0]
        ),
        roof="link",
    )
    network = _sum(stages)
    total = _sum((copy, *stages))
    return Projection(
        card=card.name,
        stages=(copy, *stages),
        network_ms=network,
        total_ms=total,
        fps=Interval(low=_rate(total.high), high=_rate(total.low)),
        assumptions=_assumptions(card, efficiencies, copied),
    )


def _stage(stage: StageCost, card: Card, efficiencies: Efficiencies) -> ProjectedStage:
    slow, fast = (_roofs(stage, card, efficiencies, end) for end in (0, 1))
    launches = slow.pop("launches")
    return ProjectedStage(
        stage=stage.stage,
        milliseconds=Interval(low=max(fast.values()), high=max(slow.values()) + launches),
        roof=max(fast, key=lambda roof: fast[roof]),
    )


def _roofs(stage: StageCost, card: Card, efficiencies: Efficiencies, end: int) -> dict[Roof, float]:
    """Milliseconds that each roof allows a stage at the slow (0) or fast (1) end."""
    share = efficiencies.products[end]
    products = sum(2 * count / (card.product_tops[kind] * share) for kind, count in stage.gmacs.items())
    other = max(0.0, stage.gflops - 2 * sum(stage.gmacs.values()))
    wide = sum(kernel for kernel in stage.kernel_megabytes if kernel > card.l2_mb)
    moved = stage.megabytes if end == 0 else min(stage.weight_megabytes + wide, stage.megabytes)
    return {
        "products": products,
        "arithmetic": other / (card.vector_tflops * efficiencies.arithmetic[end]),
        "memory": moved / (card.memory_gbs * efficiencies.memory[end]),
        "launches": stage.launches * efficiencies.launch[end] / 1e3,
    }


def _sum(stages: Sequence[ProjectedStage]) -> Interval:
    return Interval(
        low=sum(stage.milliseconds.low for stage in stages), high=sum(stage.milliseconds.high for stage in stages)
    )


def _rate(milliseconds: float) -> float:
    return 1000 / milliseconds if milliseconds else 0.0


def _elements(tensor: Tensor) -> int:
    count = 1
    for side in tensor.shape:
        count *= side
    return count


def _assumptions(card: Card, efficiencies: Efficiencies, copied: float) -> tuple[str, ...]:
    products, memory, launch = efficiencies.products, efficiencies.memory, efficiencies.launch
    tops = ", ".join(f"{kind} {peak:g}" for kind, peak in card.product_tops.items())
    return (
        f"published dense peaks of {card.name}: products {tops} Tera-operations/s, {card.memory_gbs:g} GB/s of "
        f"memory, {card.l2_mb:g} MB of L2, {card.link_gbs:g} GB/s from the host",
        f"products reach {products[0]:.0%} to {products[1]:.0%} of the peak, memory {memory[0]:.0%} to "
        f"{memory[1]:.0%}; a launch takes {launch[1]:g} to {launch[0]:g} microseconds",
        "fast end: all roofs overlap, and of kernels that fit into L2 only the weights come from DRAM; slow end: "
        "everything goes through DRAM, launches come on top",
        f"{copied:.1f} MB of inputs are copied for each frame; decoding images, merging sweeps and selecting boxes on "
        "the host are left out",
    )
