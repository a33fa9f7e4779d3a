"""The two passes of the streaming relation losses in C, for the CPU: built once with the system's compiler.

PyTorch's operations each go over a block anew, and half of what they take is not arithmetic. ``_cpu_kernels.c`` does in
one go over a tile what ``_blocked.py`` does in thirty. It needs a C compiler, as ``torch.compile`` does; without one,
or with ``MMDIST_CPU_KERNELS=0`` in the environment, the blocked form takes over, with the same results.
"""

from __future__ import annotations

import ctypes

import torch
from torch import Tensor

from mmdist.functional import _cpu_build
from mmdist.functional._blocked import Coefficients, Spec
from mmdist.functional._moments import Moments, merge_blocks
from mmdist.functional._plain import EPS

ACTIVATIONS = {"softmax": 0, "sigmoid": 1, "none": 2}
DTYPES = {torch.float32: 0, torch.bfloat16: 1}
ALONE_BELOW = 1 << 15  # scores: below, a second thread and merging its sums cost more than they save


class _Map(ctypes.Structure):
    _fields_ = [
        ("data", ctypes.c_void_p),
        ("image", ctypes.c_int64),
        ("channel", ctypes.c_int64),
        ("position", ctypes.c_int64),
        ("dtype", ctypes.c_int64),
    ]

    def __init__(self, z: Tensor) -> None:
        super().__init__(z.data_ptr(), *z.stride(), DTYPES[z.dtype])


class _Problem(ctypes.Structure):
    _fields_ = [
        *((name, ctypes.c_int64) for name in ("images", "classes", "positions", "activation", "rows", "columns")),
        ("threads", ctypes.c_int64),
        *((name, ctypes.c_float) for name in ("tau", "guard", "eps")),
    ]

    def __init__(self, z: Tensor, spec: Spec) -> None:
        threads = 1 if z.numel() < ALONE_BELOW else torch.get_num_threads()
        activation = ACTIVATIONS[spec.activation]
        super().__init__(*z.shape, activation, spec.rows, spec.columns, threads, spec.tau, spec.guard_rel, EPS)


class _Coefficients(ctypes.Structure):
    _fields_ = [
        *((name, ctypes.c_void_p) for name in ("col_s", "col_t", "mean_s", "mean_t")),
        ("row", ctypes.c_float),
    ]


def available(z_s: Tensor, z_t: Tensor) -> bool:
    """Whether the kernels take these scores: on the CPU, float32 or bfloat16, and built."""
    known = z_s.dtype in DTYPES and z_t.dtype in DTYPES
    return known and z_s.device.type == "cpu" and _cpu_build.kernels().library is not None


def moments(z_s: Tensor, z_t: Tensor, weight: Tensor | None, spec: Spec, dtype: torch.dtype) -> Moments:
    """First pass; see :func:`mmdist.functional._blocked.moments`."""
    problem, size = _Problem(z_s, spec), z_s.shape[1]
    out = torch.zeros(problem.threads, 2 + 5 * size, dtype=torch.float64)
    weight = None if weight is None else weight.contiguous()
    _run("relation_moments", problem, _Map(z_s), _Map(z_t), _address(weight), out.data_ptr())
    values = out[:, 2:].view(-1, 5, size)
    if problem.threads == 1:
        return Moments(out[0, 0], out[0, 1], *values[0])
    return merge_blocks(out[:, 0], out[:, 1], values[:, :2], values[:, 2:])


def gradient(
    z_s: Tensor, z_t: Tensor, weight: Tensor | None, spec: Spec, dtype: torch.dtype, by: Coefficients
) -> Tensor:
    """Second pass; see :func:`mmdist.functional._blocked.gradient`."""
    grad = torch.empty_like(z_s)
    columns = [x.contiguous() for x in by[1:]]  # named, so that they live until the call is over
    coefficients = _Coefficients(*(x.data_ptr() for x in columns), float(by.row))
    weight = None if weight is None else weight.contiguous()
    maps = (_Map(z_s), _Map(z_t), _address(weight), ctypes.byref(_Map(grad)))
    _run("relation_gradient", _Problem(z_s, spec), ctypes.byref(coefficients), *maps)
    return grad


def _address(tensor: Tensor | None) -> int | None:
    return None if tensor is None else tensor.data_ptr()


def _run(name: str, *arguments: object) -> None:
    by_reference = [ctypes.byref(x) if isinstance(x, ctypes.Structure) else x for x in arguments]
    if getattr(_cpu_build.kernels().library, name)(*by_reference):
        raise MemoryError("out of memory for the scratch tiles of the relation loss")
