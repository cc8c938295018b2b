"""Operations counted by hand."""

import onnx
import pytest
from onnx import TensorProto, helper

from vexkd.export import operators
from vexkd.export.flops import FRUSTUM_PER_POINT, PREPARE, SAMPLE, VOXELIZE_PER_POINT, count_flops

Shape = list[int]


def count(op: str, inputs: list[Shape], output: Shape, domain: str = "", **attributes: object) -> int:
    names = [f"in{i}" for i in range(len(inputs))]
    node = helper.make_node(op, names, ["out"], domain=domain, **attributes)
    given = [helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in zip(names, inputs, strict=True)]
    result = [helper.make_tensor_value_info("out", TensorProto.FLOAT, output)]
    return count_flops(helper.make_model(helper.make_graph([node], "g", given, result))).get(op, 0)


def test_products_by_hand() -> None:
    # 4 x 5 outputs, each 3 products and 2 sums.
    assert count("MatMul", [[4, 3], [3, 5]], [4, 5]) == 4 * 5 * 5
    assert count("Gemm", [[4, 3], [3, 5], [5]], [4, 5]) == 4 * 5 * 6
    assert count("Gemm", [[3, 4], [3, 5], [5]], [4, 5], transA=1) == 4 * 5 * 6
    # 2 x 6 x 6 outputs, each 3 x 3 x 3 products, 26 sums and the bias.
    assert count("Conv", [[1, 3, 8, 8], [2, 3, 3, 3], [2]], [1, 2, 6, 6]) == 72 * 54
    assert count("Conv", [[1, 3, 8, 8], [2, 3, 3, 3]], [1, 2, 6, 6]) == 72 * 53
    # Each of 3 x 4 x 4 inputs is multiplied and added 2 x 2 x 2 times; the bias is added 2 x 8 x 8 times.
    assert count("ConvTranspose", [[1, 3, 4, 4], [3, 2, 2, 2], [2]], [1, 2, 8, 8]) == 2 * 48 * 8 + 128


def test_our_operators_by_hand() -> None:
    vexkd = operators.DOMAIN
    assert count("Voxelize", [[100, 5], [1]], [100, 11], vexkd) == VOXELIZE_PER_POINT * 100
    assert count("PillarMax", [[100, 8], [100]], [1, 8, 4, 4], vexkd) == 800
    assert count("BevPool", [[2, 7, 3, 4], [2, 5, 3, 4], [168], [17]], [1, 5, 4, 4], vexkd) == 2 * 168 * 5
    assert count("PrepareImages", [[2, 90, 160, 3]], [2, 3, 32, 64], vexkd) == PREPARE * 2 * 3 * 32 * 64
    assert count("FrustumIndex", [[2, 3, 3], [2, 3]], [168], vexkd) == FRUSTUM_PER_POINT * 168


def test_the_rest_by_hand() -> None:
    assert count("Relu", [[2, 3]], [2, 3]) == 6
    assert count("MaxPool", [[1, 2, 8, 8]], [1, 2, 4, 4], kernel_shape=[2, 2]) == 4 * 32
    assert count("GridSample", [[1, 2, 8, 8], [1, 4, 4, 2]], [1, 2, 4, 4]) == SAMPLE * 32
    assert count("Resize", [[1, 2, 8, 8]], [1, 2, 4, 4], mode="linear") == SAMPLE * 32
    assert count("Resize", [[1, 2, 8, 8]], [1, 2, 16, 16], mode="nearest") == 0
    assert count("ReduceMean", [[4, 5]], [4]) == 20
    assert count("Transpose", [[4, 5]], [5, 4]) == 0


def test_a_tensor_without_a_shape_cannot_be_counted() -> None:
    node = helper.make_node("Relu", ["in"], ["hidden"])
    last = helper.make_node("Relu", ["hidden"], ["out"])
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [2]) for name in ("in", "out")]
    model: onnx.ModelProto = helper.make_model(helper.make_graph([node, last], "g", ends[:1], ends[1:]))
    with pytest.raises(ValueError, match="hidden has no static shape"):
        count_flops(model)
