"""The two passes of the streaming relation losses as Triton kernels, for maps on a GPU.

Everything else is as in :mod:`mmdist.functional._blocked`; nothing here waits for the device.
"""

from __future__ import annotations

import ctypes
import functools
from typing import Any, NamedTuple

import torch
from torch import Tensor

from mmdist.functional._blocked import Coefficients, Spec
from mmdist.functional._moments import Moments, merge_blocks

MIN_TRITON = (3, 3)  # the first one whose kernels can hold tuples of blocks
MIN_CAPABILITY = (8, 0)  # the least Triton supports
MAX_CLASSES = 1024  # in the registers of one program; more are left to the blocked form
MAX_POSITIONS = 1 << 31  # a place among them is an int32
# Positions a tile and warps a program, the best first. Neighbours in memory are fetched 32 or 64 bytes at a time, and
# what one thread adds up alone is cheap: as many positions and as few threads as the registers allow.
CUTS = ((512, 4), (256, 4), (128, 4), (64, 4), (32, 4), (32, 8), (16, 8), (16, 16), (8, 16))
# Bytes of scores of one map that a thread holds, by warps a program: with more, the compiler keeps registers in memory.
# float64 takes two registers a number, and more for each exponential.
BYTES_A_THREAD = {torch.float32: {4: 128, 8: 128, 16: 64}, torch.float64: {4: 96, 8: 96, 16: 64}}
PROGRAMS_A_CORE = 12  # a multiple of however many (1, 2, 3, 4, 6) run on a multiprocessor at once: all end together


class Tiles(NamedTuple):
    """How maps are cut up. See :mod:`mmdist.functional._triton_kernels`.

    Args:
        R (int): Classes a piece.
        K (int): Pieces.
        G (int): Groups of positions.
        V (int): Positions a group.
        spread (bool): Whether the positions of a group lie apart, not side by side.
        warps (int): Groups of 32 threads a program.
    """

    R: int
    K: int
    G: int
    V: int
    spread: bool
    warps: int


def available(z: Tensor) -> bool:
    """Whether these kernels can run on this tensor's device."""
    return z.is_cuda and _installed() and torch.cuda.get_device_capability(z.device) >= MIN_CAPABILITY


def fits(z: Tensor) -> bool:
    """Whether these kernels are made for logits (N, C, *spatial) of this size."""
    return z.shape[1] <= MAX_CLASSES and z.numel() < MAX_POSITIONS * z.shape[1]


def moments(
    z_s: Tensor,
    z_t: Tensor,
    weight: Tensor | None,
    spec: Spec,
    dtype: torch.dtype,
    programs: int | None = None,
) -> Moments:
    """First pass: read both maps once. Arguments and result are those of :func:`mmdist.functional._blocked.moments`.

    ``programs`` is how many programs share the tiles, where the GPU shall not decide.
    """
    size = z_s.shape[1]
    if not z_s.numel():
        nothing = z_s.new_zeros(0, dtype=dtype)
        return merge_blocks(nothing, nothing, nothing.new_zeros(0, 2, size), nothing.new_zeros(0, 3, size))
    z_s, z_t, weight = as_few_maps([z_s, z_t], weight)

    from mmdist.functional._triton_kernels import moments_kernel

    cut = cut_up(z_s, z_t, dtype)
    tiles_a_map, tiles = _count(z_s, cut.G * cut.V)
    programs = min(tiles, programs or _programs(z_s))
    counts, rows = z_s.new_empty(2, programs, dtype=dtype)
    new = z_s.new_empty if spec.columns else z_s.new_zeros
    means, seconds = new(programs, 2, size, dtype=dtype), new(programs, 3, size, dtype=dtype)
    with torch.cuda.device_of(z_s):
        moments_kernel[(programs,)](
            z_s, z_t, z_s if weight is None else weight, counts, rows, means, seconds,
            z_s.shape[2], tiles_a_map, tiles,
            *z_s.stride(), *z_t.stride(), *_strides(weight), *_inverse(spec.tau),
            C=size, **_options(cut, z_s, weight, spec, dtype),
        )  # fmt: skip
    return merge_blocks(counts, rows, means, seconds)


def gradient(
    z_s: Tensor, z_t: Tensor, weight: Tensor | None, spec: Spec, dtype: torch.dtype, by: Coefficients
) -> Tensor:
    """Second pass: read both maps once, write the gradient by the student once.

    Arguments and result are those of :func:`mmdist.functional._blocked.gradient`.
    """
    grad = torch.empty_like(z_s)
    if not z_s.numel():
        return grad
    z_s, z_t, out, weight = as_few_maps([z_s, z_t, grad], weight)
    cut = cut_up(z_s, z_t, dtype)
    tiles_a_map, tiles = _count(z_s, cut.G * cut.V)

    from mmdist.functional._triton_kernels import gradient_kernel

    with torch.cuda.device_of(z_s):
        gradient_kernel[(tiles,)](
            z_s, z_t, z_s if weight is None else weight, out, *(x.contiguous() for x in by),
            z_s.shape[2], tiles_a_map,
            *z_s.stride(), *z_t.stride(), *_strides(weight), *out.stride(), *_inverse(spec.tau), spec.guard_rel,
            C=z_s.shape[1], **_options(cut, z_s, weight, spec, dtype),
        )  # fmt: skip
    return grad


@functools.cache
def _installed() -> bool:
    try:
        import triton
    except ImportError:
        return False
    return tuple(int(part) for part in triton.__version__.split(".")[:2]) >= MIN_TRITON


def as_few_maps(maps: list[Tensor], weight: Tensor | None) -> tuple[Any, ...]:
    """The same memory as one (1, C, N S) map where the strides allow it: full tiles however small the maps are."""
    n, size, s = maps[0].shape
    if s == 1:
        return *(z.permute(2, 1, 0) for z in maps), None if weight is None else weight.t()
    if all(z.stride(0) == s * z.stride(2) for z in maps) and (
        weight is None or weight.stride(0) == s * weight.stride(1)
    ):
        maps = [z.as_strided((1, size, n * s), (0, z.stride(1), z.stride(2))) for z in maps]
        return *maps, None if weight is None else weight.as_strided((1, n * s), (0, weight.stride(1)))
    return *maps, weight


def cut_up(z_s: Tensor, z_t: Tensor, dtype: torch.dtype) -> Tiles:
    """How to cut maps (N, C, S) up, by what a thread's registers hold and by what is contiguous in memory."""
    _, size, positions = z_s.shape
    vector = 16 // dtype.itemsize  # scores of one load, which for half precision takes 8 bytes
    together = all(_loads_together(z) for z in (z_s, z_t))
    for block, warps in CUTS:
        R = max(_power_of_2(-(-size // 16)), vector * warps * 32 // block)
        K = -(-size // R)
        if R * K * block * dtype.itemsize <= BYTES_A_THREAD[dtype][warps] * warps * 32:
            break
    block = min(block, _power_of_2(positions))
    V = min(block, vector)
    return Tiles(min(R, _power_of_2(size)), K, block // V, V, not together, warps)


def _loads_together(z: Tensor) -> bool:
    """Whether Triton can tell that a thread may load several positions at once: it looks for multiples of 16."""
    far = (z.stride(1), z.data_ptr()) if z.shape[0] == 1 else (z.stride(0), z.stride(1), z.data_ptr())
    return z.stride(2) == 1 and all(x % 16 == 0 for x in far)


def _count(z: Tensor, block: int) -> tuple[int, int]:
    """Tiles a map, and in all. No tile spans two maps."""
    tiles_a_map = -(-z.shape[2] // block)
    return tiles_a_map, z.shape[0] * tiles_a_map


def _programs(z: Tensor) -> int:
    if not z.is_cuda:  # Triton's interpreter
        return 2
    return PROGRAMS_A_CORE * torch.cuda.get_device_properties(z.device).multi_processor_count


def _power_of_2(x: int) -> int:
    """The least power of two that is not below x."""
    return 1 << max(0, x - 1).bit_length()


def _strides(weight: Tensor | None) -> tuple[int, int]:
    return (0, 0) if weight is None else weight.stride()


def _inverse(tau: float) -> tuple[float, float]:
    """1 / tau as the sum of two float32, which is what a kernel can be given; exact enough for float64."""
    inverse = 1 / tau
    high = ctypes.c_float(inverse).value
    return high, inverse - high


def _options(cut: Tiles, z: Tensor, weight: Tensor | None, spec: Spec, dtype: torch.dtype) -> dict[str, Any]:
    import triton.language as tl

    return {
        "R": cut.R,
        "K": cut.K,
        "G": cut.G,
        "V": cut.V,
        "SPREAD": cut.spread,
        "TAIL": z.shape[2] % (cut.G * cut.V) != 0,
        "WEIGHTED": weight is not None,
        "ACTIVATION": spec.activation,
        "ROWS": spec.rows,
        "COLUMNS": spec.columns,
        "DTYPE": tl.float64 if dtype == torch.float64 else tl.float32,
        "num_warps": cut.warps,
        "enable_fp_fusion": True,  # Triton 3.10 no longer does by default
    }
