"""Models of one node, to run an operator of ours by itself."""

from collections.abc import Sequence
from typing import Any

import onnx
from numpy.typing import NDArray
from onnx import helper

from vexkd.export import operators

Outputs = dict[str, tuple[int, Sequence[int] | None]]
"""By name: type of the elements as ``onnx.TensorProto`` numbers them, and shape; None leaves it to be inferred."""


def node_model(
    name: str, inputs: dict[str, NDArray[Any]], outputs: Outputs, dynamic: bool = False, **attributes: Any
) -> bytes:
    """A model of one operator with its function body; ``dynamic`` has symbols ("points_0") for the inputs' sizes."""
    operators.register_schemas()
    node = helper.make_node(
        name, list(inputs), list(outputs), domain=operators.DOMAIN, **operators.PLUGIN_ATTRIBUTES, **attributes
    )
    given = [
        helper.make_tensor_value_info(
            key,
            helper.np_dtype_to_tensor_dtype(value.dtype),
            [f"{key}_{axis}" for axis in range(value.ndim)] if dynamic else value.shape,
        )
        for key, value in inputs.items()
    ]
    results = [helper.make_tensor_value_info(key, kind, shape) for key, (kind, shape) in outputs.items()]
    graph = helper.make_graph([node], name, given, results)
    imports = [helper.make_opsetid("", operators.OPSET), helper.make_opsetid(operators.DOMAIN, operators.VERSION)]
    bodies = [body for body in operators.functions() if body.name == name]
    model: onnx.ModelProto = helper.make_model(graph, opset_imports=imports, functions=bodies, ir_version=10)
    serialized: bytes = model.SerializeToString()
    return serialized
