"""Checks on the arguments of the losses, and the precision they compute in.

A wrong argument is a ``TypeError`` or a ``ValueError`` that names the argument,
what came and what is expected.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from numbers import Real

import torch
from torch import Tensor

from mmdist.errors import spelling_hint

# What float32 can hold the square of, times the largest weights, with room for a division by EPS.
MIN_TAU, MAX_TAU = 1e-6, 1e6
MAX_FACTOR = 1e8  # of a loss, or of a part of it
MAX_WEIGHT = 1e12  # of a position


def full_precision(tensor: Tensor) -> AbstractContextManager:
    """Autocast switched off on the tensor's device: half precision ruins correlations."""
    return nullcontext() if tensor.is_meta else torch.autocast(tensor.device.type, enabled=False)


def compute_dtype(tensor: Tensor) -> torch.dtype:
    """float64 stays float64, everything else is computed in float32."""
    return torch.float64 if tensor.dtype == torch.float64 else torch.float32


def check_pair(student: Tensor, teacher: Tensor, names: tuple[str, str] = ("logits_s", "logits_t")) -> None:
    """Student and teacher: floating point, (N, C) or (N, C, *spatial), one shape, one device."""
    for name, tensor in zip(names, (student, teacher), strict=True):
        check_dense(name, tensor)
        if not tensor.is_floating_point():
            raise TypeError(f"{name} must be of a floating-point dtype, got {tensor.dtype}")
        if tensor.ndim < 2:
            raise ValueError(f"{name} must be (N, C) or (N, C, *spatial), got shape {tuple(tensor.shape)}")
        if not tensor.shape[1]:
            raise ValueError(f"{name} must have at least one class or channel, got shape {tuple(tensor.shape)}")
    if student.shape != teacher.shape:
        raise ValueError(
            f"{names[0]} and {names[1]} must have one shape, got {tuple(student.shape)} and {tuple(teacher.shape)}"
        )
    if student.device != teacher.device:
        raise ValueError(f"{names[0]} is on {student.device} but {names[1]} is on {teacher.device}")


def check_dense(name: str, tensor: Tensor) -> None:
    """A tensor that holds all its elements, in a strided layout."""
    if not isinstance(tensor, Tensor):
        raise TypeError(f"{name} must be a tensor, got {type(tensor).__name__}")
    if tensor.is_nested or tensor.layout is not torch.strided:
        raise TypeError(f"{name} must be a dense tensor, got {'a nested one' if tensor.is_nested else tensor.layout}")


def check_choice(name: str, value: str, allowed: Sequence[str]) -> None:
    """``value`` is one of ``allowed``."""
    if value not in allowed:
        raise ValueError(f"{name} = {value!r}: {spelling_hint(str(value), allowed)}")


def check_positive(name: str, value: float) -> None:
    """``value`` is a finite number above 0, such as a temperature, that float32 can compute with."""
    if not (_is_real(value) and 0 < value < float("inf")):
        raise ValueError(f"{name} = {value!r}: expected a finite number above 0")
    if not MIN_TAU <= value <= MAX_TAU:
        raise ValueError(f"{name} = {value!r}: expected a number from {MIN_TAU:g} to {MAX_TAU:g}")


def check_non_negative(name: str, value: float) -> None:
    """``value`` is a finite number, 0 or above, such as the weight of a loss, that float32 can compute with."""
    if not (_is_real(value) and 0 <= value < float("inf")):
        raise ValueError(f"{name} = {value!r}: expected a finite number, 0 or above")
    if value > MAX_FACTOR:
        raise ValueError(f"{name} = {value!r}: expected a number from 0 to {MAX_FACTOR:g}")


def _is_real(value: object) -> bool:
    """NumPy's numbers too; True is none."""
    return isinstance(value, Real) and not isinstance(value, bool)


def position_weight(logits: Tensor, mask: Tensor | None, weight: Tensor | None) -> Tensor | None:
    """Mask and weight of the positions as one weight, or None where all count alike.

    Args:
        logits (Tensor): (N, C, *spatial), for shape, device and dtype.
        mask (Tensor, optional): (N, *spatial) bool, True = counts.
        weight (Tensor, optional): (N, *spatial) floating point, 0 or above.

    Returns:
        Tensor | None: (N, *spatial) in the dtype of computation, without gradient.

    Raises:
        TypeError: A mask that is not bool, a weight that is not floating point.
        ValueError: Another shape or device, or a weight below 0, above 1e12 or not finite.
    """
    expected = (logits.shape[0], *logits.shape[2:])
    for name, tensor in (("mask", mask), ("weight", weight)):
        if tensor is None:
            continue
        check_dense(name, tensor)
        if tensor.shape != expected:
            raise ValueError(f"{name} must have shape (N, *spatial) = {expected}, got {tuple(tensor.shape)}")
        if tensor.device != logits.device:
            raise ValueError(f"{name} is on {tensor.device} but the logits are on {logits.device}")
    if mask is not None and mask.dtype != torch.bool:
        raise TypeError(f"mask must be of dtype torch.bool, got {mask.dtype}")
    if weight is None:
        return None if mask is None else mask.to(compute_dtype(logits))
    if not weight.is_floating_point():
        raise TypeError(f"weight must be of a floating-point dtype, got {weight.dtype}")
    weight = weight.detach().to(compute_dtype(logits))
    if mask is not None:
        weight = weight.where(mask, weight.new_zeros(()))
    require(
        ((weight >= 0) & (weight <= MAX_WEIGHT)).all(),
        f"weight must be finite and 0 or above, at most {MAX_WEIGHT:g}, wherever the mask is True",
        got=weight,
    )
    return weight


def near_one(weight: Tensor) -> tuple[Tensor, Tensor]:
    """Weights whose largest is 1, or nothing counts, so that no sum or product of theirs leaves float32.

    Args:
        weight (Tensor): From :func:`position_weight`.

    Returns:
        tuple[Tensor, Tensor]: The weights, and the scalar that they were divided by.
    """
    tiny = torch.finfo(weight.dtype).tiny
    top = weight.amax().clamp_min(tiny) if weight.numel() else weight.new_ones(())
    return weight / top, top


def check_target(target: Tensor, logits: Tensor, mask: Tensor | None) -> Tensor:
    """Class labels that can index the classes of ``logits``.

    Args:
        target (Tensor): (N, *spatial) integers.
        logits (Tensor): (N, C, *spatial).
        mask (Tensor, optional): (N, *spatial) bool; where it is False, the target may be anything.

    Returns:
        Tensor: (N, *spatial) int64, 0 where the mask is False.

    Raises:
        TypeError: A target that is not integers.
        ValueError: Another shape or device, or a label that is no class.
    """
    expected = (logits.shape[0], *logits.shape[2:])
    check_integers("target", target)
    if target.shape != expected:
        raise ValueError(f"target must have shape (N, *spatial) = {expected}, got {tuple(target.shape)}")
    if target.device != logits.device:
        raise ValueError(f"target is on {target.device} but the logits are on {logits.device}")
    target = target.long() if mask is None else target.long().where(mask, target.new_zeros((), dtype=torch.long))
    require(
        ((target >= 0) & (target < logits.shape[1])).all(),
        f"target must be in [0, {logits.shape[1]}) wherever the mask is True; mask ignored labels",
    )
    return target


def check_integers(name: str, tensor: Tensor) -> None:
    """A dense tensor of labels."""
    if not isinstance(tensor, Tensor) or tensor.is_floating_point() or tensor.dtype == torch.bool:
        raise TypeError(f"{name} must be integers, got {getattr(tensor, 'dtype', type(tensor).__name__)}")
    check_dense(name, tensor)


def require(condition: Tensor, message: str, got: Tensor | None = None) -> None:
    """Raise ``ValueError`` unless the condition holds; on a GPU the check does not wait, and aborts later.

    Args:
        condition (Tensor): Scalar bool.
        message (str): What is wrong.
        got (Tensor, optional): The values that were looked at, whose ends the message gives.
    """
    if torch.compiler.is_compiling():
        return
    while torch._C._functorch.is_functorch_wrapped_tensor(condition):  # in a vmap, one value for each sample
        condition, got = torch._C._functorch.get_unwrapped(condition), None
    traced = torch._C._get_dispatch_mode(torch._C._TorchDispatchModeKey.PROXY) is not None
    if traced or condition.is_meta or hasattr(condition, "fake_mode"):  # no values to look at
        return
    if condition.is_cuda:
        torch._assert_async(condition.all(), message)
    elif not bool(condition.all()):
        ends = "" if got is None else f", got values from {got.min().item():g} to {got.max().item():g}"
        raise ValueError(message + ends)
