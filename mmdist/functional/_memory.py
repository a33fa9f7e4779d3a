"""Which tensors the C and Triton kernels may read: those whose values lie at their address."""

from __future__ import annotations

import functools

import torch
import torch.autograd.forward_ad as forward_ad
from torch import Tensor


def addressable(*tensors: Tensor | None) -> bool:
    """Whether a kernel that reads and writes through addresses gives what PyTorch's operations would.

    It would not for fake, distributed and other subclasses, inside the transforms of ``torch.func``, for zeros without
    memory, lazily negated views, layouts that are not strided, or memory that was freed; nor where somebody follows
    the operations: a compiler, a tracer, a dispatch mode, forward-mode differentiation.

    Args:
        *tensors (Tensor | None): Whatever the kernel would read; None is nothing.

    Returns:
        bool: False: PyTorch's own operations have to do it.
    """
    if torch.compiler.is_compiling() or torch.jit.is_tracing() or torch._C._len_torch_dispatch_stack():
        return False
    if forward_ad._current_level >= 0 or torch._C._functorch.peek_interpreter_stack() is not None:
        return False
    return all(_lies_in_memory(tensor) for tensor in tensors if tensor is not None)


def _lies_in_memory(tensor: Tensor) -> bool:
    # Everything that gives a tensor's bytes another meaning is a dispatch key that an ordinary tensor does not have.
    ordinary = _ordinary_keys(tensor.device.type)
    if (torch._C._dispatch_keys(tensor) | ordinary).raw_repr() != ordinary.raw_repr():
        return False
    if not tensor.numel():
        return True
    last = tensor.storage_offset() + sum((n - 1) * step for n, step in zip(tensor.shape, tensor.stride(), strict=True))
    return (last + 1) * tensor.element_size() <= tensor.untyped_storage().nbytes()


@functools.cache
def _ordinary_keys(device: str) -> torch._C.DispatchKeySet:
    with torch.inference_mode(False):
        return torch._C._dispatch_keys(torch.empty(0, device=device))
