"""Call a kernel's CPU or CUDA entry point on tensors."""

import ctypes
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from vexkd.plugins.library import F16, F32, call, cpu_workspace, workspace_size

_CODES = {torch.float32: F32, torch.float16: F16}

Argument = Tensor | ctypes.Structure | ctypes.Array[Any] | int | None


def launch(operator: str, arguments: Sequence[Argument], query: Sequence[Argument] | None, maps: int = 0) -> None:
    """Call ``vexkd_<operator>_cpu`` or ``_cuda``, whichever the tensors' device asks for.

    Args:
        operator: name in the C ABI.
        arguments: parameters of the C function up to threads or workspace; tensors must be contiguous.
        query: parameters of its workspace query, None for an operator without workspace.
        maps: tensors whose layout the CUDA function asks for; all are planar.

    Raises:
        KernelError: the kernel refused its arguments, or the library was built without CUDA.

    """
    values = [_value(argument) for argument in arguments]
    device = next(argument.device for argument in arguments if isinstance(argument, Tensor))
    sizes = None if query is None else [_value(argument) for argument in query]
    workspace: tuple[Any, ...] = ()
    if device.type == "cpu":
        if sizes is not None:
            workspace = cpu_workspace(operator, *sizes)
        call(f"{operator}_cpu", *values, torch.get_num_threads(), *workspace)
        return
    with torch.cuda.device(device):
        if sizes is not None:
            size = workspace_size(f"{operator}_cuda", *sizes)
            # Freed on return, reused by the allocator in the stream's order only.
            buffer = torch.empty(size, dtype=torch.uint8, device=device)
            workspace = (buffer.data_ptr(), size)
        call(f"{operator}_cuda", *values, *[0] * maps, *workspace, torch.cuda.current_stream(device).cuda_stream)


def dtype_code(tensor: Tensor, name: str) -> int:
    """vexkd_dtype of a tensor.

    Raises:
        ValueError: it is neither float32 nor float16.

    """
    if tensor.dtype not in _CODES:
        raise ValueError(f"{name} must be float32 or float16, got {tensor.dtype}")
    return _CODES[tensor.dtype]


def check(name: str, tensor: Tensor, dtype: torch.dtype, shape: tuple[int | None, ...], like: Tensor) -> Tensor:
    """The tensor as contiguous; shape entries of None may be anything.

    Raises:
        ValueError: another dtype, shape or device than expected.

    """
    wrong = any(size not in (None, given) for size, given in zip(shape, tensor.shape, strict=False))
    if tensor.dtype != dtype or tensor.ndim != len(shape) or wrong or tensor.device != like.device:
        expected = ", ".join("any" if size is None else str(size) for size in shape)
        raise ValueError(
            f"{name} must be {dtype} ({expected}) on {like.device}, got {tensor.dtype} {tuple(tensor.shape)}"
            f" on {tensor.device}"
        )
    return tensor.contiguous()


def _value(argument: Argument) -> Any:
    if isinstance(argument, Tensor):
        return argument.data_ptr()
    return ctypes.byref(argument) if isinstance(argument, ctypes.Structure) else argument
