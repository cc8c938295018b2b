"""From a torch module to one checked ONNX file that every runtime takes."""

import ast
import logging
from collections import Counter
from typing import Any

import onnx
import torch
from torch import Tensor, nn

from vexkd.export import operators

IR_VERSION = 10
NOISY = ("torch.onnx._internal.exporter._registration", "onnxscript.optimizer._constant_folding")
"""Loggers that warn of what does not concern a user: absent torchvision operators, nodes left unfolded."""

SCOPES = "pkg.torch.onnx.name_scopes"
"""The tracer's note on a node: the paths of the modules around it, outermost first."""


def trace(
    module: nn.Module, inputs: tuple[Tensor, ...], input_names: tuple[str, ...], output_names: tuple[str, ...]
) -> onnx.ModelProto:
    """Trace a module for fixed shapes; our operators become nodes with plugin attributes and function bodies.

    The same module and inputs give the same bytes on every call.

    Raises:
        RuntimeError: an operator got lost or the file breaks ONNX's rules.
    """
    for name in NOISY:
        logging.getLogger(name).setLevel(logging.ERROR)
    with torch.no_grad():
        program = torch.export.export(module, inputs, strict=False)
    called = (_operator(node.target) for node in program.graph.nodes)
    expected = Counter(operator for operator in called if operator is not None)
    exported = torch.onnx.export(
        program,
        dynamo=True,
        input_names=list(input_names),
        output_names=list(output_names),
        opset_version=operators.OPSET,
        custom_translation_table=operators.translation_table(),
        verbose=False,
    )
    assert exported is not None
    model = exported.model_proto
    _finish(model)
    check(model, expected)
    return model


def with_outputs(model: onnx.ModelProto, names: tuple[str, ...]) -> onnx.ModelProto:
    """A copy of a model that gives only these outputs; the nodes that only the others need must be none."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    kept = [output for output in model.graph.output if output.name in names]
    dropped = [output for output in model.graph.output if output.name not in names]
    del copy.graph.output[:]
    copy.graph.output.extend(kept)
    copy.graph.value_info.extend(dropped)
    used = {name for node in copy.graph.node for name in node.input} | set(names)
    idle = [node.name for node in copy.graph.node if not used & set(node.output)]
    if idle:
        raise RuntimeError(f"nothing uses {', '.join(idle)} when {', '.join(o.name for o in dropped)} are left out")
    onnx.checker.check_model(copy, full_check=True)
    return copy


def check(model: onnx.ModelProto, expected: Counter[str]) -> None:
    """Check a model against ONNX's rules, and that it holds the ``expected`` number of nodes of each operator of ours.

    Raises:
        RuntimeError: see :func:`trace`.
    """
    found: Counter[str] = Counter()
    for node in model.graph.node:
        if node.domain != operators.DOMAIN:
            continue
        found[node.op_type] += 1
        given = {attribute.name: attribute.s.decode() for attribute in node.attribute if attribute.s}
        if {name: given.get(name) for name in operators.PLUGIN_ATTRIBUTES} != operators.PLUGIN_ATTRIBUTES:
            raise RuntimeError(f"node {node.name} of {node.op_type} lacks its plugin attributes")
    if found != expected:
        raise RuntimeError(f"the traced graph holds {dict(found)} of our operators, the module {dict(expected)}")
    bodies = {function.name for function in model.functions if function.domain == operators.DOMAIN}
    if set(found) - bodies:
        raise RuntimeError(f"no function body for {', '.join(sorted(set(found) - bodies))}")
    onnx.checker.check_model(model, full_check=True)


def _finish(model: onnx.ModelProto) -> None:
    """Add the function bodies that are used, and leave out what names this machine or changes between runs."""
    used = {node.op_type for node in model.graph.node if node.domain == operators.DOMAIN}
    _name_nodes(model)
    del model.functions[:]
    model.functions.extend(body for body in operators.functions() if body.name in used)
    kept = {"": operators.OPSET} | ({operators.DOMAIN: operators.VERSION} if used else {})
    del model.opset_import[:]
    model.opset_import.extend(onnx.helper.make_opsetid(name, version) for name, version in kept.items())
    model.ir_version = IR_VERSION
    model.producer_name, model.producer_version = "vexkd", ""
    model.doc_string = ""
    model.graph.name, model.graph.doc_string = "vexkd", ""
    del model.metadata_props[:]
    del model.graph.metadata_props[:]
    parts: list[Any] = [*model.graph.node, *model.graph.value_info, *model.graph.input, *model.graph.output]
    for part in parts:
        del part.metadata_props[:]
        part.doc_string = ""


def _name_nodes(model: onnx.ModelProto) -> None:
    """Name nodes after the module they come from and their operator: "model.head.shared.0/Conv"."""
    seen: Counter[str] = Counter()
    for node in model.graph.node:
        scopes = next((entry.value for entry in node.metadata_props if entry.key == SCOPES), "[]")
        # The last scope is the traced call itself.
        *modules, _ = ast.literal_eval(scopes) or [""]
        name = f"{modules[-1] if modules else ''}/{node.op_type}"
        seen[name] += 1
        node.name = name if seen[name] == 1 else f"{name}_{seen[name]}"


def _operator(target: object) -> str | None:
    """Our ONNX operator's name for a torch operator, if it is one of ours."""
    if not isinstance(target, torch._ops.OpOverload) or target.namespace != operators.DOMAIN:
        return None
    name = target._opname
    return "".join(part.capitalize() for part in name.split("_"))
