"""What a model costs, stage by stage: operations, parameters, bytes, launches; of a graph, or of a recipe alone."""

from collections import Counter, defaultdict

import onnx
import torch
from onnx import NodeProto
from torch import nn

from vexkd.config import Config
from vexkd.engines.manifest import Cost, StageCost
from vexkd.export.deployment import Deployment, output_names, traced_names
from vexkd.export.example import find_example
from vexkd.export.flops import count_flops, known_shapes, node_flops, node_macs
from vexkd.export.fold import fold_batch_norms
from vexkd.export.precision import to_half
from vexkd.export.stages import STAGES, node_stages, parameters_by_stage
from vexkd.export.trace import trace, with_outputs
from vexkd.export.traffic import Kernel, element_types, find_kernels
from vexkd.models.perception import Perception

RAW_SIZE = (900, 1600)
"""Height and width of nuScenes' images."""


def count_cost(model: onnx.ModelProto, parameters: dict[str, int]) -> Cost:
    """Cost of a deployed graph with static shapes, see :mod:`vexkd.export.flops` and :mod:`vexkd.export.traffic`.

    Args:
        model: a traced model with the outputs that it is deployed with.
        parameters: of the trained model by stage, see :func:`vexkd.export.stages.parameters_by_stage`.

    Raises:
        ValueError: a tensor that must be counted has no known shape.
    """
    shapes, stages = known_shapes(model), node_stages(model.graph)
    flops: Counter[str] = Counter()
    macs: defaultdict[str, Counter[str]] = defaultdict(Counter)
    kernels: defaultdict[str, list[Kernel]] = defaultdict(list)
    product_type = _ProductTypes(model.graph)
    for node, stage in zip(model.graph.node, stages, strict=True):
        flops[stage] += node_flops(node, shapes)
        count = node_macs(node, shapes)
        if count:
            macs[stage][product_type(node)] += count
    for kernel in find_kernels(model, shapes):
        kernels[stages[kernel.nodes[0]]].append(kernel)
    by_operator = count_flops(model)
    return Cost(
        gflops=sum(by_operator.values()) / 1e9,
        gflops_by_operator={name: count / 1e9 for name, count in by_operator.items()},
        parameters=sum(parameters.values()),
        stages=tuple(
            StageCost(
                stage=stage,
                gflops=flops[stage] / 1e9,
                gmacs={kind: count / 1e9 for kind, count in sorted(macs[stage].items())},
                parameters=parameters.get(stage, 0),
                megabytes=sum(kernel.bytes for kernel in kernels[stage]) / 1e6,
                weight_megabytes=sum(kernel.weights for kernel in kernels[stage]) / 1e6,
                kernel_megabytes=tuple(kernel.bytes / 1e6 for kernel in kernels[stage]),
                launches=sum(kernel.launches for kernel in kernels[stage]),
            )
            for stage in STAGES
            if stage in stages
        ),
    )


def recipe_cost(config: Config, half: bool = False, raw_size: tuple[int, int] = RAW_SIZE) -> Cost:
    """Cost of the model that a config describes, see :func:`recipe_graph`."""
    return count_cost(*recipe_graph(config, half, raw_size))


def recipe_graph(
    config: Config, half: bool = False, raw_size: tuple[int, int] = RAW_SIZE
) -> tuple[onnx.ModelProto, dict[str, int]]:
    """The graph of the model that a config describes, untrained, as an export would deploy it; nothing is computed.

    Args:
        config: of a run.
        half: make the FP16 export.
        raw_size: (height, width) of the cameras' images.

    Returns:
        The graph, and the model's parameters by stage.
    """
    example = find_example(config, raw_size if config.model.camera is not None else None)
    # A model of full size takes a minute to run; without values it has the same graph.
    with torch.device("meta"):
        model = Perception(config.model, config.task).eval()
    parameters = parameters_by_stage(model)
    module = Deployment(model)
    fold_batch_norms(module, tuple(tensor.to("meta") for tensor in example.tensors(module.names)))
    _fill(module)
    if half:
        to_half(model)
    graph = trace(module, example.tensors(module.names), module.names, traced_names(config))
    return with_outputs(graph, output_names(config)), parameters


def _fill(module: nn.Module) -> None:
    """Give a model without values random ones: the exporter merges what is equal."""
    generator = torch.Generator().manual_seed(0)
    for part in module.modules():
        for name, value in list(part.named_parameters(recurse=False)):
            filled = nn.Parameter(torch.rand(value.shape, generator=generator), requires_grad=False)
            setattr(part, name, filled)
        for name, buffer in list(part.named_buffers(recurse=False)):
            setattr(part, name, torch.rand(buffer.shape, generator=generator).to(buffer.dtype))


class _ProductTypes:
    """The type that a convolution or matrix product is computed in, by the types of what it reads."""

    def __init__(self, graph: onnx.GraphProto) -> None:
        self.types = element_types(graph)
        self.quantised = {node.output[0] for node in graph.node if node.op_type == "DequantizeLinear"}

    def __call__(self, node: NodeProto) -> str:
        if set(node.input[:2]) <= self.quantised:
            return "int8"
        return str(onnx.helper.tensor_dtype_to_np_dtype(self.types[node.input[0]]))
