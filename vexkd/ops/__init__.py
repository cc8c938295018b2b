"""Torch operators over the native kernels; importing this registers ``torch.ops.vexkd``.

Semantics are those of the C headers in ``plugins/include/vexkd``; with a batch of 1 they are the ONNX operators.
"""

from vexkd.ops.bev_pool import bev_pool
from vexkd.ops.frustum_index import frustum_index
from vexkd.ops.pillar_max import pillar_max
from vexkd.ops.prepare_images import prepare_images
from vexkd.ops.voxelize import voxelize

__all__ = ["bev_pool", "frustum_index", "pillar_max", "prepare_images", "voxelize"]
