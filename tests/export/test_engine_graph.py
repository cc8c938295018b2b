"""What TensorRT is given in place of a bundle's graph."""

from pathlib import Path

import onnx
from onnx import TensorProto, helper

from vexkd.export.engine_graph import engine_graph


def test_bytes_are_declared_int8_and_nothing_else_changes(tmp_path: Path) -> None:
    kinds = {"images": TensorProto.UINT8, "points": TensorProto.FLOAT, "count": TensorProto.INT32}
    inputs = [helper.make_tensor_value_info(name, kind, [2, 3]) for name, kind in kinds.items()]
    outputs = [helper.make_tensor_value_info("labels", TensorProto.UINT8, [2, 3])]
    model = helper.make_model(
        helper.make_graph([helper.make_node("Identity", ["images"], ["labels"])], "g", inputs, outputs)
    )
    onnx.save(model, tmp_path / "model.onnx")
    given = onnx.load_from_string(engine_graph(tmp_path / "model.onnx"))
    assert given.graph.input[0].type.tensor_type.elem_type == TensorProto.INT8
    given.graph.input[0].type.tensor_type.elem_type = TensorProto.UINT8
    assert given == model
