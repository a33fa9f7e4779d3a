"""The streaming relation losses and the probability of the label in C, for the CPU: built once by the system compiler.

PyTorch's operations each go over a block anew, and half of what they take is not arithmetic. ``_cpu_kernels.c`` does in
one go over a tile what ``_blocked.py`` does in thirty. It needs a C compiler, as ``torch.compile`` does; without one,
or with ``MMDIST_CPU_KERNELS=0`` in the environment, the blocked form takes over, with the same results.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence

import torch
from torch import Tensor

from mmdist.functional import _cpu_build
from mmdist.functional._blocked import Coefficients, Spec
from mmdist.functional._memory import addressable
from mmdist.functional._moments import Moments, merge_blocks
from mmdist.functional._plain import EPS, STILL

ACTIVATIONS = {"softmax": 0, "sigmoid": 1, "none": 2}
DTYPES = {torch.float32: 0, torch.bfloat16: 1}
OUT_OF_MEMORY = 1  # of label_probability
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
        *((name, ctypes.c_float) for name in ("tau", "guard", "eps", "still")),
    ]

    def __init__(self, z: Tensor, spec: Spec) -> None:
        threads = 1 if z.numel() < ALONE_BELOW else torch.get_num_threads()
        activation = ACTIVATIONS[spec.activation]
        still = STILL * torch.finfo(torch.float32).eps
        super().__init__(*z.shape, activation, spec.rows, spec.columns, threads, spec.tau, spec.guard_rel, EPS, still)


class _Coefficients(ctypes.Structure):
    _fields_ = [
        *((name, ctypes.c_void_p) for name in ("col_s", "col_t", "mean_s", "mean_t")),
        ("row", ctypes.c_float),
    ]


class _Places(ctypes.Structure):
    _fields_ = [(name, ctypes.c_void_p) for name in ("before", "after", "share")]


class _Request(ctypes.Structure):
    _fields_ = [
        *((name, ctypes.c_int64) for name in ("images", "classes", "height", "width", "ignore", "threads")),
        *((name, ctypes.c_int64) for name in ("image", "channel", "row", "column")),
        *((name, ctypes.c_void_p) for name in ("logits", "label", "out")),
        ("rows", _Places),
        ("columns", _Places),
    ]


def available(z_s: Tensor, z_t: Tensor, weight: Tensor | None = None) -> bool:
    """Whether the kernels take these scores and weights: on the CPU, float32 or bfloat16, and built."""
    known = z_s.dtype in DTYPES and z_t.dtype in DTYPES and z_s.device.type == "cpu"
    return known and addressable(z_s, z_t, weight) and _cpu_build.kernels().library is not None


def moments(z_s: Tensor, z_t: Tensor, weight: Tensor | None, spec: Spec, dtype: torch.dtype) -> Moments:
    """First pass; see :func:`mmdist.functional._blocked.moments`."""
    problem, size = _Problem(z_s, spec), z_s.shape[1]
    out = torch.zeros(problem.threads, 2 + 5 * size, dtype=torch.float64, device="cpu")
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


def label_probability(
    logits: Tensor, label: Tensor, ignore_index: int, places: Sequence[Sequence[Tensor]] | None
) -> Tensor | None:
    """See :func:`mmdist.functional._confidence.confidence`, with softmax.

    Args:
        logits (Tensor): (N, C, h, w) float32, in any memory layout.
        label (Tensor): (N, H, W) int64.
        ignore_index (int): The label that does not count.
        places (Sequence[Sequence[Tensor]], optional): For the rows of the labels, then for the columns: the neighbours
            before and after among those of the logits, and the share of the one after; None: of the same size.

    Returns:
        Tensor | None: (N, H, W); None where a label is no class.
    """
    label = label.contiguous()
    out = torch.empty(label.shape, dtype=torch.float32, device="cpu")  # whatever the defaults are
    threads = 1 if label.numel() * logits.shape[1] < ALONE_BELOW else torch.get_num_threads()
    tables = [_Places(*(x.data_ptr() for x in axis)) for axis in places] if places else [_Places(), _Places()]
    sizes = (*logits.shape[:2], *label.shape[1:], ignore_index, threads, *logits.stride())
    request = _Request(*sizes, logits.data_ptr(), label.data_ptr(), out.data_ptr(), *tables)
    state = _cpu_build.kernels().library.label_probability(ctypes.byref(request))
    if state == OUT_OF_MEMORY:
        raise MemoryError("out of memory for the scratch tiles of the label probability")
    return None if state else out


def _address(tensor: Tensor | None) -> int | None:
    return None if tensor is None else tensor.data_ptr()


def _run(name: str, *arguments: object) -> None:
    by_reference = [ctypes.byref(x) if isinstance(x, ctypes.Structure) else x for x in arguments]
    if getattr(_cpu_build.kernels().library, name)(*by_reference):
        raise MemoryError("out of memory for the scratch tiles of the relation loss")
