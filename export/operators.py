"""The operators as ONNX knows them: schema, function body, and how the torch operators translate into nodes.

A node ``vexkd::Op`` carries the attributes ``plugin_namespace`` and ``plugin_version``, by which TensorRT finds the
plugin, and the model carries a function body for it, which ONNX Runtime inlines and runs on any CPU.
"""

from collections.abc import Callable, Sequence
from typing import Any

import onnx
import onnx.defs

from vexkd.export import operator_bodies
from vexkd.export.operator_bodies import BevPool, FrustumIndex, PillarMax, PrepareImages, Voxelize, domain

DOMAIN = operator_bodies.DOMAIN
VERSION = operator_bodies.VERSION
OPSET = 20
PLUGIN_ATTRIBUTES = {"plugin_namespace": DOMAIN, "plugin_version": "1"}


def functions() -> list[onnx.FunctionProto]:
    """Function bodies of all operators, ready for ``model.functions``."""
    bodies = []
    for script in (Voxelize, PillarMax, BevPool, FrustumIndex, PrepareImages):
        body = script.to_function_proto()
        body.attribute.extend(PLUGIN_ATTRIBUTES)
        bodies.append(body)
    return bodies


def register_schemas() -> None:
    """Make the operators known to ``onnx`` (checker, shape inference, exporter); calling it again changes nothing."""
    for schema in _schemas():
        if not onnx.defs.has(schema.name, DOMAIN):
            onnx.defs.register_schema(schema)


def translation_table() -> dict[Callable[..., Any], Callable[..., Any]]:
    """``custom_translation_table`` of ``torch.onnx.export`` for the torch operators of :mod:`vexkd.ops`."""
    import torch

    import vexkd.ops  # noqa: F401  (registers torch.ops.vexkd)

    register_schemas()
    ops = torch.ops.vexkd

    def voxelize(points: Any, counts: Any, range: Sequence[float], cell: Sequence[float]) -> Any:
        return domain.Voxelize(points, counts, range=list(range), cell=list(cell), **PLUGIN_ATTRIBUTES)

    def pillar_max(features: Any, cells: Any, batch: int, height: int, width: int) -> Any:
        _single(batch)
        return domain.PillarMax(features, cells, height=height, width=width, **PLUGIN_ATTRIBUTES)

    def bev_pool(depth: Any, context: Any, points: Any, starts: Any, batch: int, height: int, width: int) -> Any:
        _single(batch)
        return domain.BevPool(depth, context, points, starts, height=height, width=width, **PLUGIN_ATTRIBUTES)

    def prepare_images(
        images: Any, height: int, width: int, mean: Sequence[float], deviation: Sequence[float], dtype: int
    ) -> Any:
        size = {"height": height, "width": width, "dtype": int(dtype)}
        constants = {"mean": list(mean), "deviation": list(deviation)}
        return domain.PrepareImages(images, **size, **constants, **PLUGIN_ATTRIBUTES)

    def frustum_index(
        rays: Any,
        origins: Any,
        depths: Sequence[float],
        feature_height: int,
        feature_width: int,
        stride: int,
        range: Sequence[float],
        cell: Sequence[float],
        batch: int,
    ) -> Any:
        _single(batch)
        return domain.FrustumIndex(
            rays,
            origins,
            depths=list(depths),
            feature_height=feature_height,
            feature_width=feature_width,
            stride=stride,
            range=list(range),
            cell=list(cell),
            **PLUGIN_ATTRIBUTES,
        )

    return {
        ops.voxelize.default: voxelize,
        ops.pillar_max.default: pillar_max,
        ops.bev_pool.default: bev_pool,
        ops.prepare_images.default: prepare_images,
        ops.frustum_index.default: frustum_index,
    }


def _single(batch: int) -> None:
    if batch != 1:
        raise ValueError(f"the ONNX operators hold one sample, the traced model has a batch of {batch}")


def _prepared_images(context: Any) -> None:
    """Type and shape of PrepareImages' output, which no input tells: ``dtype`` (V, 3, height, width)."""
    given = context.get_input_type(0).tensor_type
    size = [context.get_attribute(name).i for name in ("height", "width")]
    prepared = onnx.helper.make_tensor_type_proto(context.get_attribute("dtype").i, [None, 3, *size])
    if given.HasField("shape") and given.shape.dim:
        prepared.tensor_type.shape.dim[0].CopyFrom(given.shape.dim[0])
    context.set_output_type(0, prepared)


def _schemas() -> list[onnx.defs.OpSchema]:
    schema = onnx.defs.OpSchema
    floats = ("T", ["tensor(float)", "tensor(float16)"], "values")
    plugin = [
        schema.Attribute(name, onnx.helper.make_attribute(name, value)) for name, value in PLUGIN_ATTRIBUTES.items()
    ]

    def value(name: str, kind: str) -> onnx.defs.OpSchema.FormalParameter:
        return schema.FormalParameter(name, kind)

    def required(kind: onnx.defs.OpSchema.AttrType, *names: str) -> list[onnx.defs.OpSchema.Attribute]:
        return [schema.Attribute(name, kind, required=True) for name in names]

    schemas = [
        schema(
            "Voxelize",
            DOMAIN,
            VERSION,
            inputs=[value("points", "tensor(float)"), value("count", "tensor(int32)")],
            outputs=[value("features", "tensor(float)"), value("cells", "tensor(int32)")],
            attributes=[*required(schema.AttrType.FLOATS, "range", "cell"), *plugin],
        ),
        schema(
            "PillarMax",
            DOMAIN,
            VERSION,
            inputs=[value("features", "T"), value("cells", "tensor(int32)")],
            outputs=[value("bev", "T")],
            type_constraints=[floats],
            attributes=[*required(schema.AttrType.INT, "height", "width"), *plugin],
        ),
        schema(
            "BevPool",
            DOMAIN,
            VERSION,
            inputs=[
                value("depth", "T"),
                value("context", "T"),
                value("points", "tensor(int32)"),
                value("starts", "tensor(int32)"),
            ],
            outputs=[value("bev", "T")],
            type_constraints=[floats],
            attributes=[*required(schema.AttrType.INT, "height", "width"), *plugin],
        ),
        schema(
            "FrustumIndex",
            DOMAIN,
            VERSION,
            inputs=[value("rays", "tensor(float)"), value("origins", "tensor(float)")],
            outputs=[value("points", "tensor(int32)"), value("starts", "tensor(int32)")],
            attributes=[
                *required(schema.AttrType.FLOATS, "depths", "range", "cell"),
                *required(schema.AttrType.INT, "feature_height", "feature_width", "stride"),
                *plugin,
            ],
        ),
        schema(
            "PrepareImages",
            DOMAIN,
            VERSION,
            inputs=[value("images", "tensor(uint8)")],
            outputs=[value("prepared", "T")],
            type_constraints=[floats],
            attributes=[
                *required(schema.AttrType.INT, "height", "width", "dtype"),
                *required(schema.AttrType.FLOATS, "mean", "deviation"),
                *plugin,
            ],
        ),
    ]
    schemas[-1].set_type_and_shape_inference_function(_prepared_images)
    return schemas
