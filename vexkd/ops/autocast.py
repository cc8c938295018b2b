"""Autocast rule of the operators: float16 where autocast works in float16, else float32."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

library = torch.library.Library("vexkd", "FRAGMENT")


def autocast_like_matmul(name: str, operator: Callable[..., Any], *, half: bool) -> None:
    """Cast an operator's floating tensors under autocast, as a matrix product's are.

    The kernels accumulate in float32 and know no bfloat16, whose range float16 has not: bfloat16 autocast, the CPU's
    among it, gives them float32. ``half=False`` means float32 always.
    """
    for device_type, key in (("cuda", "AutocastCUDA"), ("cpu", "AutocastCPU")):
        library.impl(name, _rule(operator, device_type, half), key)


def _rule(operator: Callable[..., Any], device_type: str, half: bool) -> Callable[..., Any]:
    def cast(*arguments: Any) -> Any:
        wants_half = half and torch.get_autocast_dtype(device_type) == torch.float16 and device_type == "cuda"
        dtype = torch.float16 if wants_half else torch.float32
        with torch.autocast(device_type, enabled=False):
            return operator(*(_cast(argument, dtype) for argument in arguments))

    return cast


def _cast(argument: Any, dtype: torch.dtype) -> Any:
    return argument.to(dtype) if isinstance(argument, Tensor) and argument.is_floating_point() else argument
