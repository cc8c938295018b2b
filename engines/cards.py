"""What GPUs can do at most, as their makers publish it: the ceilings of a projection."""

from dataclasses import dataclass

from vexkd.plugins.errors import UserError


@dataclass(frozen=True)
class Card:
    """Peaks of one GPU: dense, at boost clock; 10^12 operations per second, 10^9 bytes per second."""

    name: str
    product_tops: dict[str, float]
    """Convolutions and matrix products on tensor cores, by their type: ``float32`` is TF32, as TensorRT takes it unless
    told otherwise; ``float16`` with FP16 accumulation, where that is faster; ``int8``."""
    vector_tflops: float
    """All other arithmetic: FP32 on the ordinary cores."""
    memory_gbs: float
    l2_mb: float
    link_gbs: float
    """From the host, one way: PCIe 4.0 x16 is 31.5, PCIe 5.0 x16 is 63. On a Jetson it is the memory itself."""


def _card(name: str, tf32: float, fp16: float, int8: float, fp32: float, memory: float, l2: float, link: float) -> Card:
    return Card(name, {"float32": tf32, "float16": fp16, "int8": int8}, fp32, memory, l2, link)


# From NVIDIA's white papers (GA102, AD102, GB202, GA100, GH100) and data sheets (A4000, L4, H200, Jetson AGX Orin 64 GB
# at full power, whose GPU has 85 of the module's dense 138 TOPS). Sparse figures are halved.
CARDS = (
    #     name        TF32   FP16    INT8    FP32   GB/s  L2 MB  link
    _card("RTX 3090", 35.6, 142.3, 284.7, 35.6, 936, 6, 31.5),
    _card("RTX 4090", 82.6, 330.3, 660.6, 82.6, 1008, 72, 31.5),
    _card("RTX 5090", 104.8, 419.0, 838.0, 104.8, 1792, 96, 63),
    _card("RTX A4000", 38.3, 76.7, 153.4, 19.2, 448, 4, 31.5),
    _card("L4", 60.0, 121.0, 242.0, 30.3, 300, 48, 31.5),
    _card("A100", 156.0, 312.0, 624.0, 19.5, 1555, 40, 31.5),
    _card("H100", 494.7, 989.4, 1978.9, 66.9, 3352, 50, 63),
    _card("H200", 494.7, 989.4, 1978.9, 66.9, 4800, 50, 63),
    _card("Orin", 21.2, 42.5, 85.0, 5.3, 204.8, 4, 204.8),
)


def find_card(name: str) -> Card:
    """The card of a name as people say it, ``RTX 4090``, ``rtx4090``, or as the driver says it.

    Raises:
        UserError: it is not in the table.
    """
    card = known_card(name)
    if card is None:
        raise UserError(f"no peaks are on record for {name!r}; known are: {', '.join(card.name for card in CARDS)}")
    return card


def known_card(name: str) -> Card | None:
    """The card of a name, None where it is not in the table: a laptop's or a Ti is another card.

    Args:
        name: "NVIDIA GeForce RTX 4090", "NVIDIA H100 80GB HBM3", "rtx4090", ...
    """
    words = name.lower().replace("-", " ").split()
    if {"laptop", "ti", "max", "super", "d"} & set(words):
        return None
    compact = "".join(words)
    for card in CARDS:
        wanted = card.name.lower().replace(" ", "")
        if compact == wanted or set(card.name.lower().split()) <= set(words):
            return card
    return None
