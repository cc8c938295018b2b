"""Q/DQ nodes around chosen layers of a traced graph, whose other nodes stay as they are.

A *place* is an activation that is rounded to 8 bits. Every quantised layer has one at its input; what lies between it
and the quantised layers before it (additions, concatenations, max pooling, resizing) has them too, with one scale for
all operands, so that a runtime can do these in 8 bits.

Three schemes, because runtimes fuse different patterns:

- ``uint8`` for ONNX Runtime on CPUs: asymmetric, so that a ReLU is the lower end of the range; a convolution's output
  is a place, its bias int32. ONNX Runtime then makes QLinearConv and QLinearAdd of them.
- ``int8`` for TensorRT: symmetric, zero point 0; of an addition only the operand that is no convolution's own result is
  a place, so that the convolution and the addition become one kernel.
- ``fp8`` (E4M3FN) for TensorRT at the places of ``int8``.

Weights are symmetric per output channel in each.
"""

from collections.abc import Collection, Iterator, Mapping
from typing import Literal, NamedTuple

import ml_dtypes
import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import NodeProto, TensorProto, helper, numpy_helper

from vexkd.export.layers import PASSING, Graph, Layer, find_layers
from vexkd.export.observers import Range

Scheme = Literal["uint8", "int8", "fp8"]

FP8_MAX = 448.0
LARGEST_BIAS = 2.0**30
TINY = 1e-12


class Places(NamedTuple):
    """The activations to be rounded, and which of them share a scale."""

    groups: dict[str, str]
    """Of each place, the name of its group."""

    def members(self) -> dict[str, list[str]]:
        """Places by group."""
        found: dict[str, list[str]] = {}
        for place, group in self.groups.items():
            found.setdefault(group, []).append(place)
        return found


def find_places(model: onnx.ModelProto, quantised: Collection[str], scheme: Scheme) -> Places:
    """Where a graph is rounded if the layers of these names are quantised."""
    return _Planner(model, quantised, scheme).places()


def quantise(
    model: onnx.ModelProto, ranges: Mapping[str, Range], quantised: Collection[str], scheme: Scheme
) -> onnx.ModelProto:
    """A copy of a traced graph in which some layers are quantised.

    Args:
        model: traced graph, FP32 or FP16; its nodes' names say their modules.
        ranges: of each place, see :func:`find_places` and :func:`vexkd.export.calibration.calibrate`.
        quantised: names of layers, of those that :func:`vexkd.export.layers.find_layers` gives.
        scheme: see the module.
    """
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    if quantised:
        _Writer(copy, ranges, quantised, scheme).write()
        onnx.checker.check_model(copy, full_check=True)
    return copy


class _Planner:
    def __init__(self, model: onnx.ModelProto, quantised: Collection[str], scheme: Scheme) -> None:
        self.graph, self.scheme = Graph(model), scheme
        self.layers = [layer for layer in find_layers(model)[0] if layer.name in quantised]
        self.nodes = {layer.node.name for layer in self.layers}
        self.groups: dict[str, str] = {}

    def places(self) -> Places:
        for layer in self.layers:
            self._add(layer.input)
        if self.scheme == "uint8":
            for layer in self.layers:
                if layer.node.op_type != "MatMul":
                    self._add(self.graph.result(layer.node))
        for place in list(self.groups):
            self._spread(place)
        return Places({place: self._root(place) for place in self.groups})

    def _add(self, tensor: str) -> None:
        self.groups.setdefault(tensor, tensor)

    def _root(self, place: str) -> str:
        while self.groups[place] != place:
            place = self.groups[place]
        return place

    def _join(self, one: str, other: str) -> None:
        first, second = sorted((self._root(one), self._root(other)))
        self.groups[second] = first

    def _spread(self, place: str) -> None:
        """Make places of what a place is computed from, as far back as there are quantised layers behind it."""
        node = self.graph.source(place)
        if node is None or node.name in self.nodes or not self._comes_quantised(place):
            return
        operands = self._operands(node)
        for operand in operands:
            known = operand in self.groups
            self._add(operand)
            self._join(operand, operands[0] if node.op_type == "Add" else place)
            if not known:
                self._spread(operand)

    def _operands(self, node: NodeProto) -> list[str]:
        if node.op_type != "Add":
            return list(node.input) if node.op_type == "Concat" else [node.input[0]]
        if self.scheme == "uint8":
            return list(node.input)
        results = [name for name in node.input if self._is_result(name)]
        fused = results[0] if results else None
        return [name for name in node.input if name != fused]

    def _is_result(self, tensor: str) -> bool:
        node = self.graph.makers.get(tensor)
        return node is not None and node.name in self.nodes and len(self.graph.readers[tensor]) == 1

    def _comes_quantised(self, tensor: str) -> bool:
        """Whether a tensor is a quantised layer's result, or made of such by operators that can work in 8 bits."""
        node = self.graph.source(tensor)
        if node is None:
            return False
        if node.name in self.nodes:
            return True
        if node.op_type == "Add":
            return all(name in self.groups or self._comes_quantised(name) for name in node.input)
        return node.op_type in PASSING and all(
            name in self.groups or self._comes_quantised(name)
            for name in (node.input if node.op_type == "Concat" else node.input[:1])
        )


class _Writer:
    """Changes a model in place."""

    def __init__(
        self, model: onnx.ModelProto, ranges: Mapping[str, Range], quantised: Collection[str], scheme: Scheme
    ) -> None:
        self.model, self.scheme = model, scheme
        self.graph = Graph(model)
        self.layers = [layer for layer in find_layers(model)[0] if layer.name in quantised]
        self.kinds = _tensor_kinds(model)
        places = find_places(model, quantised, scheme)
        joined = {group: _joined(ranges[place] for place in members) for group, members in places.members().items()}
        self.scales = {place: _scale(joined[group], scheme) for place, group in places.groups.items()}
        self.before: dict[str, list[NodeProto]] = {}
        """New nodes by the name of the node that they stand before."""

    def write(self) -> None:
        for place in self.scales:
            self._round_activation(place)
        written: dict[str, str] = {}
        for layer in self.layers:
            if layer.weight not in written:
                written[layer.weight] = self._round_weight(layer)
            layer.node.input[1] = written[layer.weight]
            if self.scheme == "uint8" and len(layer.node.input) > 2:
                self._round_bias(layer)
        self._drop_unused()
        self._place_nodes()

    def _round_activation(self, place: str) -> None:
        scale, zero = self.scales[place]
        kind, shape = self.kinds[place]
        names = self._constants(place, np.asarray(scale), np.asarray(zero), kind)
        rounded, back = f"{place}_quantised", f"{place}_dequantised"
        reading = list(self.graph.readers[place])
        if not reading:
            return
        self.before.setdefault(reading[0].name, []).extend(
            [
                helper.make_node("QuantizeLinear", [place, *names], [rounded], name=f"{place}/QuantizeLinear"),
                helper.make_node("DequantizeLinear", [rounded, *names], [back], name=f"{place}/DequantizeLinear"),
            ]
        )
        for node in reading:
            for index, name in enumerate(node.input):
                if name == place:
                    node.input[index] = back
        self._tell(rounded, _code_kind(self.scheme), shape)
        self._tell(back, kind, shape)

    def _round_weight(self, layer: Layer) -> str:
        tensor = self.graph.constants[layer.weight]
        weight = numpy_helper.to_array(tensor).astype(np.float32)
        scales = self._weight_scales(layer, weight)
        shape = [1] * weight.ndim
        shape[layer.axis] = -1
        steps = weight / scales.reshape(shape)
        if self.scheme == "fp8":
            codes = steps.astype(ml_dtypes.float8_e4m3fn)
            zero: NDArray = np.zeros(len(scales), ml_dtypes.float8_e4m3fn)
        else:
            codes = np.clip(np.rint(steps), -127, 127).astype(np.int8)
            zero = np.zeros(len(scales), np.int8)
        name, back = f"{layer.weight}_quantised", f"{layer.weight}_dequantised"
        self.model.graph.initializer.append(numpy_helper.from_array(codes, name))
        names = self._constants(layer.weight, scales, zero, tensor.data_type)
        self.before.setdefault(layer.node.name, []).append(
            helper.make_node(
                "DequantizeLinear", [name, *names], [back], name=f"{layer.weight}/DequantizeLinear", axis=layer.axis
            )
        )
        self._tell(back, tensor.data_type, weight.shape)
        return back

    def _weight_scales(self, layer: Layer, weight: NDArray[np.float32]) -> NDArray[np.float32]:
        others = tuple(axis for axis in range(weight.ndim) if axis != layer.axis)
        largest = np.abs(weight).max(axis=others)
        # A channel of zeros has any scale; a bias must fit its int32 steps.
        scales = np.maximum(largest, TINY) / (FP8_MAX if self.scheme == "fp8" else 127)
        if self.scheme == "uint8" and len(layer.node.input) > 2:
            bias = np.abs(numpy_helper.to_array(self.graph.constants[layer.node.input[2]]).astype(np.float64))
            scales = np.maximum(scales, bias / (float(self._input_scale(layer)) * LARGEST_BIAS))
        return scales.astype(np.float32)

    def _input_scale(self, layer: Layer) -> np.float32:
        place = layer.node.input[0].removesuffix("_dequantised")
        return self.scales[place][0]

    def _round_bias(self, layer: Layer) -> None:
        name = layer.node.input[2]
        tensor = self.graph.constants[name]
        weight_scales = numpy_helper.to_array(self._initialiser(f"{layer.weight}_scale")).astype(np.float64)
        scales = (weight_scales * float(self._input_scale(layer))).astype(np.float32)
        steps = np.rint(numpy_helper.to_array(tensor).astype(np.float64) / scales)
        # The bias is in steps of this very layer's input and weights: one that layers share becomes one each.
        own = f"{layer.weight.removesuffix('.weight')}.bias_of_{layer.node.input[0].removesuffix('_dequantised')}"
        self.model.graph.initializer.append(numpy_helper.from_array(steps.astype(np.int32), f"{own}_quantised"))
        names = self._constants(own, scales, np.zeros(len(scales), np.int32), tensor.data_type)
        self.before.setdefault(layer.node.name, []).append(
            helper.make_node(
                "DequantizeLinear",
                [f"{own}_quantised", *names],
                [f"{own}_dequantised"],
                name=f"{own}/DequantizeLinear",
                axis=0,
            )
        )
        layer.node.input[2] = f"{own}_dequantised"
        self._tell(f"{own}_dequantised", tensor.data_type, (len(scales),))

    def _constants(self, name: str, scale: NDArray, zero: NDArray, kind: int) -> list[str]:
        dtype = helper.tensor_dtype_to_np_dtype(kind)
        self.model.graph.initializer.extend(
            [
                numpy_helper.from_array(scale.astype(dtype), f"{name}_scale"),
                numpy_helper.from_array(zero, f"{name}_zero_point"),
            ]
        )
        return [f"{name}_scale", f"{name}_zero_point"]

    def _initialiser(self, name: str) -> TensorProto:
        return next(tensor for tensor in self.model.graph.initializer if tensor.name == name)

    def _tell(self, name: str, kind: int, shape: tuple[int, ...]) -> None:
        self.model.graph.value_info.append(helper.make_tensor_value_info(name, kind, shape))

    def _drop_unused(self) -> None:
        nodes = [*self.model.graph.node, *(node for nodes in self.before.values() for node in nodes)]
        used = {name for node in nodes for name in node.input}
        kept = [tensor for tensor in self.model.graph.initializer if tensor.name in used]
        del self.model.graph.initializer[:]
        self.model.graph.initializer.extend(kept)

    def _place_nodes(self) -> None:
        nodes = [node for old in self.model.graph.node for node in (*self.before.get(old.name, []), old)]
        del self.model.graph.node[:]
        self.model.graph.node.extend(nodes)


def _joined(ranges: Iterator[Range]) -> Range:
    result = next(ranges)
    for other in ranges:
        result = result.joined(other)
    return result


def _scale(limits: Range, scheme: Scheme) -> tuple[np.float32, NDArray]:
    """Scale and zero point of an activation."""
    if scheme == "uint8":
        scale = max(limits.high - limits.low, TINY) / 255
        return np.float32(scale), np.asarray(np.clip(np.rint(-limits.low / scale), 0, 255).astype(np.uint8))
    largest = max(-limits.low, limits.high, TINY)
    if scheme == "int8":
        return np.float32(largest / 127), np.asarray(np.int8(0))
    return np.float32(largest / FP8_MAX), np.asarray(ml_dtypes.float8_e4m3fn(0))


def _code_kind(scheme: Scheme) -> int:
    return {"uint8": TensorProto.UINT8, "int8": TensorProto.INT8, "fp8": TensorProto.FLOAT8E4M3FN}[scheme]


def _tensor_kinds(model: onnx.ModelProto) -> dict[str, tuple[int, tuple[int, ...]]]:
    """Element type and shape of each tensor whose shape is known."""
    return {
        value.name: (
            value.type.tensor_type.elem_type,
            tuple(dim.dim_value for dim in value.type.tensor_type.shape.dim),
        )
        for value in (*model.graph.value_info, *model.graph.input, *model.graph.output)
    }
