"""The Triton kernels, compared with PyTorch's operations before their first use, and left for good where they fail.

A kernel that a new compiler or GPU gets wrong would train a wrong student without a word. So each variant of a kernel
first computes a sample of made-up scores in the layout of the call; those of the call itself say little, as a student's
first scores may all be alike. Every process decides for itself: both forms give the same values.
"""

from __future__ import annotations

import os
import threading
import warnings
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor

from mmdist.errors import ConfigError
from mmdist.functional import _blocked, _triton
from mmdist.functional._blocked import Coefficients, Spec
from mmdist.functional._memory import addressable
from mmdist.functional._moments import Moments, correlate_columns
from mmdist.functional.checks import full_precision

SWITCH = "MMDIST_TRITON"
# Largest error of value and gradient, as a share of the largest gradient; of the dtype the gradient is written in.
TOLERANCE = {torch.float64: 1e-9, torch.float32: 1e-3, torch.float16: 4e-3, torch.bfloat16: 3e-2}
TILES = 4  # of a sample's map: as many as it takes for a program to walk on
CASES = {  # what `mmdist doctor` compares
    "softmax, float32": ("softmax", torch.float32, False, False),
    "softmax, float16, weighted": ("softmax", torch.float16, False, True),
    "softmax, bfloat16, channels last": ("softmax", torch.bfloat16, True, False),
    "sigmoid, float32, channels last, weighted": ("sigmoid", torch.float32, True, True),
    "none, bfloat16": ("none", torch.bfloat16, False, False),
}

_lock = threading.RLock()  # autograd calls the second pass from another thread
_passed: set[tuple[Any, ...]] = set()
_failures: list[str] = []


def usable(z_s: Tensor, z_t: Tensor, weight: Tensor | None) -> bool:
    """Whether the calls on these logits (N, C, *spatial) may come here.

    Raises:
        ConfigError: ``MMDIST_TRITON`` is neither 0 nor 1, or 1 where no kernel can run.
    """
    if not _triton.available(z_s):
        if z_s.is_cuda and _setting() == "1":
            needs = "0, or no value: the kernels need Triton {}.{} and compute capability {}.{}, or newer"
            raise ConfigError(SWITCH, "1", needs.format(*_triton.MIN_TRITON, *_triton.MIN_CAPABILITY))
        return False
    setting = _setting()
    if setting == "0" or (_failures and setting != "1"):
        return False
    return _triton.fits(z_s) and addressable(z_s, z_t, weight)


def moments(z_s: Tensor, z_t: Tensor, weight: Tensor | None, spec: Spec, dtype: torch.dtype) -> Moments:
    """First pass; see :func:`mmdist.functional._blocked.moments`."""
    return _run("moments", z_s, z_t, weight, spec, dtype)


def gradient(
    z_s: Tensor, z_t: Tensor, weight: Tensor | None, spec: Spec, dtype: torch.dtype, by: Coefficients
) -> Tensor:
    """Second pass; see :func:`mmdist.functional._blocked.gradient`."""
    return _run("gradient", z_s, z_t, weight, spec, dtype, by)


def check_triton(device: str = "cuda") -> list[tuple[str, str]]:
    """Compare the usual variants of the kernels with PyTorch's operations.

    Args:
        device (str): Where. Defaults to the current GPU.

    Returns:
        list[tuple[str, str]]: Each case and what was found: ``ok``, or what went wrong. Empty where the kernels cannot
        run.

    Example:
        >>> check_triton("cpu")
        []
    """
    if (device == "cuda" and not torch.cuda.is_available()) or not _triton.available(torch.empty(0, device=device)):
        return []
    outcomes = []
    for name, (activation, dtype, channels_last, weighted) in CASES.items():
        z = torch.zeros(2, 19, 1000, dtype=dtype, device=device)
        z = _laid_out(z.transpose(1, 2).contiguous().transpose(1, 2) if channels_last else z, z)
        weight = torch.ones(2, 1000, device=device) if weighted else None
        spec = Spec(activation, 1.0, 1e-4, rows=True, columns=True)
        outcomes.append((name, _fault(z, z, weight, spec, torch.float32) or "ok"))
    return outcomes


def describe() -> str:
    """What :func:`check_triton` finds, in one line."""
    try:
        setting = _setting()
    except ConfigError as error:
        return str(error)
    if setting == "0":
        return f"PyTorch operations, slower, same results (switched off by {SWITCH}=0)"
    found = check_triton()
    faults = [f"{case}: {outcome}" for case, outcome in found if outcome != "ok"]
    if faults:
        return f"PyTorch operations, slower, same results (Triton kernels fail: {'; '.join(faults)})"
    if not found:
        return "-" if not torch.cuda.is_available() else "PyTorch operations (the Triton kernels cannot run here)"
    return f"Triton kernels ({len(found)} variants agree with PyTorch's operations)"


def _setting() -> str:
    value = os.environ.get(SWITCH, "")
    if value not in ("", "0", "1"):
        raise ConfigError(SWITCH, value, "0 (never), 1 (always, unchecked) or no value (where they agree with PyTorch)")
    return value


def _run(name: str, z_s: Tensor, z_t: Tensor, weight: Tensor | None, spec: Spec, dtype: torch.dtype, *by: Any) -> Any:
    arguments = (z_s, z_t, weight, spec, dtype, *by)
    if _setting() == "1":
        return getattr(_triton, name)(*arguments)
    if _agrees(z_s, z_t, weight, spec, dtype):
        try:
            return getattr(_triton, name)(*arguments)
        except torch.cuda.OutOfMemoryError:
            raise
        except Exception as error:  # whatever a compiler or a driver can raise
            _give_up(_named(error))
    return getattr(_blocked, name)(*arguments)


def _agrees(z_s: Tensor, z_t: Tensor, weight: Tensor | None, spec: Spec, dtype: torch.dtype) -> bool:
    if _failures:
        return False
    variant = _variant(z_s, z_t, weight, spec, dtype)
    if variant in _passed or not z_s.numel():
        return True
    if torch.cuda.is_available() and torch.cuda.is_current_stream_capturing():  # nothing in a graph can be looked at
        return False
    with _lock:
        if not _failures and variant not in _passed:
            try:
                fault = _fault(z_s, z_t, weight, spec, dtype)
            except torch.cuda.OutOfMemoryError:  # says nothing about the kernel: next time
                return False
            if fault:
                _give_up(fault)
            else:
                _passed.add(variant)
    return not _failures


def _variant(z_s: Tensor, z_t: Tensor, weight: Tensor | None, spec: Spec, dtype: torch.dtype) -> tuple[Any, ...]:
    """What Triton compiles a kernel of its own for."""
    maps = *_triton.as_few_maps([z_s, z_t], None)[:2], z_s
    layout = tuple((step == 1, step % 16 == 0) for z in maps for step in (*z.stride(), z.data_ptr()))
    kind = z_s.device, z_s.dtype, z_t.dtype, dtype, z_s.shape[1], weight is not None
    return *kind, spec.activation, spec.rows, spec.columns, layout, _triton.cut_up(*maps[:2], dtype)


def _fault(z_s: Tensor, z_t: Tensor, weight: Tensor | None, spec: Spec, dtype: torch.dtype) -> str:
    """How value or gradient of a sample differ between the forms; empty: they do not."""
    with torch.no_grad(), full_precision(z_s):
        try:
            spec = spec._replace(tau=min(spec.tau, 100.0))
            sample = _sample(z_s, z_t, weight, spec.tau)
            few = partial(_triton.moments, programs=2)
            value, gradient = _value_and_gradient(few, _triton.gradient, *sample, spec, dtype)
            expected, exact = _value_and_gradient(_blocked.moments, _blocked.gradient, *sample, spec, dtype)
            of_value = float((value - expected).abs() / expected.abs().clamp_min(1e-3))
            of_gradient = float((gradient - exact).abs().max() / exact.abs().max().clamp_min(1e-30))
        except torch.cuda.OutOfMemoryError:
            raise
        except Exception as error:  # whatever a compiler or a driver can raise
            return _named(error)
    wrong = [
        f"{name} differs by {error:.1e} of it"
        for name, error, limit in (("value", of_value, 1e-3), ("gradient", of_gradient, TOLERANCE[z_s.dtype]))
        if not error <= limit  # NaN too
    ]
    return f"{' and '.join(wrong)} ({spec.activation}, {z_s.dtype}, {tuple(z_s.shape)})" if wrong else ""


def _sample(z_s: Tensor, z_t: Tensor, weight: Tensor | None, tau: float) -> tuple[Tensor, Tensor, Tensor | None]:
    """Made-up scores and weights of two maps and some tiles, laid out as those of the call; no random state is used."""
    images, classes, positions = z_s.shape
    cut = _triton.cut_up(z_s, z_t, torch.float32)
    whole = max(16, cut.G * cut.V)
    shape = (min(2, images), classes, min(positions, TILES * whole + positions % whole))
    generator = torch.Generator().manual_seed(0)
    maps = [2 * tau * torch.randn(shape, generator=generator, dtype=torch.float64, device="cpu") for _ in range(2)]
    if weight is not None:
        rand = torch.rand(shape[0], shape[2], generator=generator, dtype=torch.float64, device="cpu")
        maps = [z.masked_fill((rand < 0.2).unsqueeze(1), torch.nan) for z in maps]  # what does not count may be NaN
        weight = rand.masked_fill(rand < 0.2, 0).to(z_s.device, weight.dtype)
    return *(_laid_out(made.to(z.device, z.dtype), z) for made, z in zip(maps, (z_s, z_t), strict=True)), weight


def _laid_out(z: Tensor, like: Tensor) -> Tensor:
    if like.stride(1) == 1 and like.stride(2) != 1:
        return z.transpose(1, 2).contiguous().transpose(1, 2)
    return z.contiguous()


def _value_and_gradient(
    first: Callable[..., Moments],
    second: Callable[..., Tensor],
    z_s: Tensor,
    z_t: Tensor,
    weight: Tensor | None,
    spec: Spec,
    dtype: torch.dtype,
) -> tuple[Tensor, Tensor]:
    total = first(z_s, z_t, weight, spec, dtype)
    count = total.count.clamp_min(torch.finfo(torch.float64).tiny)
    value, by_columns = total.rows / count, [total.mean_s * 0] * 2
    if spec.columns:
        columns, *by_columns = correlate_columns(total, spec.guard_rel, dtype)
        value = value + columns
    columns = (x.to(dtype).unsqueeze(1) for x in (*by_columns, total.mean_s, total.mean_t))
    return value, second(z_s, z_t, weight, spec, dtype, Coefficients((1 / count).to(dtype), *columns)).double()


def _give_up(reason: str) -> None:
    with _lock:
        if not _failures:
            _failures.append(reason)
            warnings.warn(
                "mmdist leaves its Triton kernels for the rest of this process, and PyTorch's operations compute the "
                f"relation losses, slower and with the same results: {reason}. Please report this, with what "
                f"`mmdist doctor` prints ({SWITCH}=0 in the environment leaves them without this warning)",
                RuntimeWarning,
                stacklevel=2,
            )


def _named(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0] if lines else 'without a message'}"
