"""The line of a builder's log that tells why, from what TensorRT-RTX 1.7.1 really printed, and from real failures."""

import re
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from vexkd.engines.targets import find_target
from vexkd.engines.tensorrt_flavour import is_installed
from vexkd.export.builder_log import Log, decisive_line, write_log
from vexkd.export.engine_build import build_engine
from vexkd.plugins.errors import UserError
from vexkd.plugins.library import find_library

GPU_MISSING = (
    "error",
    "[checkMacros.cpp::catchCudaError::250] Error Code 1: Cuda Runtime (In catchCudaError at /_src/x.cpp:250 (35))",
)
PARSING = ("error", 'ModelImporter.cpp:140: While parsing node number 0 [PillarMax -> "lidar_bev"]:')
NODE = [PARSING, ("error", "ModelImporter.cpp:142: --- Begin node ---\nNode"), ("error", "x.cpp:1: --- End node ---")]

CASES: list[tuple[Log, str]] = [
    (
        [
            ("info", "Opset version: 20"),
            ("error", "vexkd: PillarMax takes features (N, C) and cells (N)"),
            (
                "error",
                "ITensor::getDimensions: Error Code 4: API Usage Error (pillarmax: failed. In f at /_src/p.cpp:115)",
            ),
            GPU_MISSING,
            *NODE,
            ("error", "ModelImporter.cpp:151: ERROR: ModelImporter.cpp:489 In function parseNode:\n[6] Invalid Node"),
        ],
        "vexkd: PillarMax takes features (N, C) and cells (N) (at PillarMax, which makes lidar_bev)",
    ),
    (
        [
            *NODE,
            (
                "error",
                "ModelImporter.cpp:151: ERROR: onnxOpImporters.cpp:7252 In function importScatterND:\n[9] Assertion "
                'failed: mode == "none": ScatterND with reduction is not supported.',
            ),
        ],
        'Assertion failed: mode == "none": ScatterND with reduction is not supported. (at PillarMax, which makes '
        "lidar_bev)",
    ),
    (
        [
            ("warning", "something older"),
            ("warning", "node_voxelize__1: Skip format combination, exceeding workspace limit"),
            (
                "error",
                "[myelinPluginV3Layer.cpp::addPluginV3::555] Error Code 2: Internal Error (Assertion "
                "!infos.empty() failed. Failed to create any myelin custom layer tactic In addPlugin at /_src/a.cpp:5)",
            ),
            ("error", "IBuilder::buildSerializedNetwork: Error Code 1: the end"),
        ],
        "Error Code 2: Internal Error (Assertion !infos.empty() failed. Failed to create any myelin custom layer "
        "tactic) (before it: node_voxelize__1: Skip format combination, exceeding workspace limit)",
    ),
    ([("error", "(deserializeOnnxModel): FAILED: no model.")], "(deserializeOnnxModel): FAILED: no model."),
    ([GPU_MISSING], "Error Code 1: Cuda Runtime (In catchCudaError at /_src/x.cpp:250 (35))"),
    ([("info", "a"), ("warning", "b")], "no reason given"),
]


@pytest.mark.parametrize(("log", "expected"), CASES, ids=range(len(CASES)))
def test_the_decisive_line_is_the_cause_and_not_what_followed(log: Log, expected: str) -> None:
    assert decisive_line(log) == expected


def test_the_whole_log_is_kept(tmp_path: Path) -> None:
    write_log(tmp_path / "a.log", "what failed", [("info", "one"), ("error", "two\nlines")])
    assert (tmp_path / "a.log").read_text() == "what failed\n\n[info] one\n[error] two\nlines\n"


def save(path: Path, node: onnx.NodeProto, inputs: list[onnx.ValueInfoProto], output: onnx.ValueInfoProto) -> Path:
    weight = onnx.numpy_helper.from_array(np.ones((8, 4, 3, 3), np.float32), "w")
    graph = helper.make_graph([node], "g", inputs, [output], [weight] if "w" in node.input else [])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10), path)
    return path


@pytest.mark.skipif(not is_installed("tensorrt_rtx"), reason="tensorrt-rtx is not installed")
@pytest.mark.parametrize(
    ("case", "reason"),
    [
        ("convolution", "cannot read model.onnx: Assertion failed: .*Kernel weight dimension failed to broadcast"),
        ("dynamic", "cannot build an engine for rtx4090: .*no optimization profile has been defined"),
        ("garbage", r"cannot read model.onnx: .*Failed to parse the ONNX model"),
    ],
)
def test_a_failed_build_names_its_log_and_the_reason(case: str, reason: str, tmp_path: Path, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    def value(name: str, *shape: int | str) -> onnx.ValueInfoProto:
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)

    model, log = tmp_path / "model.onnx", tmp_path / "a.vexkd.rtx4090.log"
    log.write_text("of an older failure")
    if case == "convolution":
        save(model, helper.make_node("Conv", ["a", "w"], ["c"]), [value("a", 1, 5, 8, 8)], value("c", 1, 8, 6, 6))
    elif case == "dynamic":
        save(model, helper.make_node("Relu", ["a"], ["c"]), [value("a", "n")], value("c", "n"))
        monkeypatch.setattr("vexkd.export.engine_build.network_problems", lambda *_: [])
    else:
        save(model, helper.make_node("Relu", ["a"], ["c"]), [value("a", 4)], value("c", 4))
        read = Path.read_bytes
        monkeypatch.setattr(Path, "read_bytes", lambda self: b"no model" if self == model else read(self))
    with pytest.raises(UserError, match=rf"tensorrt_rtx .* {reason}.*; all it said is in {log}") as caught:
        build_engine(model, find_library(), find_target("rtx4090"), (), log)
    assert "\n" not in str(caught.value)
    text = log.read_text()
    assert re.match(r"tensorrt_rtx [\d.]+, model.onnx for rtx4090 \(8.9\): cannot ", text) and "[error] " in text
    assert "[info] " in text or case == "garbage"
