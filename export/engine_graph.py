"""A bundle's ONNX graph as TensorRT is given it."""

from pathlib import Path

import onnx


def engine_graph(model: Path) -> bytes:
    """The serialised model with its uint8 inputs declared int8: the same bytes, under a type that plugins may take.

    TensorRT lets nothing but a cast read a uint8 input, which would widen the cameras' images at full size, and builds
    no plugin that has one. ``PrepareImages`` reads the int8 tensor's bytes as the unsigned numbers that they are, and
    whoever runs the engine binds the images as they come.
    """
    graph = onnx.load(model)
    tensors = [value.type.tensor_type for value in graph.graph.input]
    images = [tensor for tensor in tensors if tensor.elem_type == onnx.TensorProto.UINT8]
    if not images:
        return model.read_bytes()
    for tensor in images:
        tensor.elem_type = onnx.TensorProto.INT8
    serialised: bytes = graph.SerializeToString()
    return serialised
