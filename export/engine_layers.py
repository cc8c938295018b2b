"""The layers of a built engine as TensorRT itself lists them, one per line.

The builder logs the list at the end of a build with detailed verbosity, on any machine; the inspector of an engine
gives it where there is a GPU to deserialise one. A line names the layer, its kind, the tensors it reads and writes with
their types, and the ONNX nodes it computes.
"""

import re
from collections.abc import Iterable
from typing import NamedTuple

TYPES = {"Float": "fp32", "Half": "fp16", "BFloat16": "bf16"}
"""TensorRT's names of types where they are not ours in capitals."""
PLUGIN_KINDS = ("custom_layer", "PluginV3", "PLUGIN_V3")
PREPARING_KINDS = ("kgen", "Reformat", "reformat")
"""Layers of point-wise work, which a node may have beside the one that computes it: padding, casting, transposing."""

_HEAD = "Layers:"
_LINE = re.compile(r"^Name: (?P<name>.*?), LayerType: (?P<kind>[^,]*), Inputs: \[(?P<tensors>.*)", re.MULTILINE)
_TYPE = re.compile(r"Datatype: (\w+)")
_NODE = re.compile(r"\[ONNX Layer: ([^\]]*)\]")


class Layer(NamedTuple):
    """One layer of an engine."""

    name: str
    kind: str
    """TensorRT's word: ``correlation`` is a convolution, ``kgen`` point-wise work, ``custom_layer`` a plugin."""
    reads: tuple[str, ...]
    """Types of its inputs: fp32, fp16, int8, int32, ..."""
    writes: tuple[str, ...]
    nodes: frozenset[str]
    """Names of the ONNX nodes whose work it does, or has a part in."""

    @property
    def precision(self) -> str:
        """The type it computes in: that of what it reads first; "" for a layer that only orders others."""
        return (*self.reads, *self.writes, "")[0]


def layers_of_log(messages: Iterable[str]) -> list[Layer]:
    """Layers from the messages of a build; empty if the builder did not list any."""
    listed = next((text for text in messages if text.startswith(_HEAD)), "")
    return parse_layers(listed)


def parse_layers(text: str) -> list[Layer]:
    """Layers from TensorRT's list of them, without those that compute nothing."""
    found = (_parse(match) for match in _LINE.finditer(text))
    return [layer for layer in found if layer.precision]


def count_layers(layers: Iterable[Layer]) -> dict[str, dict[str, int]]:
    """How many layers, by precision and kind, in alphabetical order."""
    counts: dict[str, dict[str, int]] = {}
    for layer in sorted(layers, key=lambda layer: (layer.precision, layer.kind)):
        kinds = counts.setdefault(layer.precision, {})
        kinds[layer.kind] = kinds.get(layer.kind, 0) + 1
    return counts


def precisions_of(node: str, layers: Iterable[Layer]) -> set[str]:
    """The types in which an engine computes an ONNX node; empty if no layer names the node."""
    having = [layer for layer in layers if node in layer.nodes]
    computing = [layer for layer in having if layer.kind not in PREPARING_KINDS] or having
    return {layer.precision for layer in computing}


def _parse(match: re.Match[str]) -> Layer:
    inputs, _, rest = match["tensors"].partition("Outputs: [")
    outputs, _, metadata = rest.partition("TacticName:")
    given = inputs.partition("Constants: [")[0]
    return Layer(
        match["name"], match["kind"], _types(given), _types(outputs), frozenset(_NODE.findall(metadata or rest))
    )


def _types(text: str) -> tuple[str, ...]:
    return tuple(TYPES.get(name, name.lower()) for name in _TYPE.findall(text))
