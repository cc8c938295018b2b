"""What a traced graph must hold, and that the check notices when it does not."""

import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import onnx
import pytest
from onnx import TensorProto, helper
from tiny_bundles import make_run

from vexkd.export import operators
from vexkd.export.trace import check, with_outputs

ROOT = Path(__file__).parents[2]


def model(attributes: bool = True, bodies: bool = True) -> onnx.ModelProto:
    operators.register_schemas()
    plugin = operators.PLUGIN_ATTRIBUTES if attributes else {}
    node = helper.make_node("PillarMax", ["features", "cells"], ["bev"], domain="vexkd", height=2, width=3, **plugin)
    last = helper.make_node("Relu", ["bev"], ["positive"])
    inputs = [
        helper.make_tensor_value_info("features", TensorProto.FLOAT, [7, 4]),
        helper.make_tensor_value_info("cells", TensorProto.INT32, [7]),
    ]
    outputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 4, 2, 3]) for name in ("bev", "positive")]
    graph = helper.make_graph([node, last], "g", inputs, outputs)
    imports = [helper.make_opsetid("", operators.OPSET), helper.make_opsetid("vexkd", 1)]
    functions = [body for body in operators.functions() if bodies and body.name == "PillarMax"]
    return helper.make_model(graph, opset_imports=imports, functions=functions, ir_version=10)


def test_a_whole_graph_passes() -> None:
    check(model(), Counter({"PillarMax": 1}))


@pytest.mark.parametrize("expected", [{"PillarMax": 2}, {}, {"PillarMax": 1, "BevPool": 1}])
def test_a_lost_operator_is_noticed(expected: dict[str, int]) -> None:
    with pytest.raises(RuntimeError, match="the traced graph holds"):
        check(model(), Counter(expected))


def test_a_node_without_attributes_or_body_is_noticed() -> None:
    with pytest.raises(RuntimeError, match="lacks its plugin attributes"):
        check(model(attributes=False), Counter({"PillarMax": 1}))
    with pytest.raises(RuntimeError, match="no function body for PillarMax"):
        check(model(bodies=False), Counter({"PillarMax": 1}))


def test_outputs_are_left_out_only_where_no_node_becomes_idle() -> None:
    only = with_outputs(model(), ("positive",))
    assert [output.name for output in only.graph.output] == ["positive"]
    assert "bev" in {value.name for value in only.graph.value_info}
    with pytest.raises(RuntimeError, match="when positive are left out"):
        with_outputs(model(), ("bev",))


def test_two_processes_export_the_same_bytes(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", "lidar", "detection")
    program = "import sys; from pathlib import Path; from vexkd.export.export import export_run; "
    program += "export_run(Path(sys.argv[1]), Path(sys.argv[2]), 'fp16')"
    for seed in ("1", "2"):
        subprocess.run(
            [sys.executable, "-c", program, str(run), str(tmp_path / f"{seed}.vexkd")],
            cwd=ROOT,
            env={**os.environ, "PYTHONHASHSEED": seed},
            check=True,
            capture_output=True,
            timeout=300,
        )
    first, second = ((tmp_path / f"{seed}.vexkd" / "model.onnx").read_bytes() for seed in ("1", "2"))
    assert first == second
