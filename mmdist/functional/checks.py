"""Checks on the arguments of the losses, and the precision they compute in.

A wrong argument is a ``TypeError`` or a ``ValueError`` that names the argument,
what came and what is expected.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from numbers import Real

import torch
from torch import Tensor

from mmdist.errors import spelling_hint


def full_precision(tensor: Tensor) -> AbstractContextManager:
    """Autocast switched off on the tensor's device: half precision ruins correlations."""
    return torch.autocast(tensor.device.type, enabled=False)


def compute_dtype(tensor: Tensor) -> torch.dtype:
    """float64 stays float64, everything else is computed in float32."""
    return torch.float64 if tensor.dtype == torch.float64 else torch.float32


def check_pair(student: Tensor, teacher: Tensor, names: tuple[str, str] = ("logits_s", "logits_t")) -> None:
    """Student and teacher: floating point, (N, C) or (N, C, *spatial), one shape, one device."""
    for name, tensor in zip(names, (student, teacher), strict=True):
        if not isinstance(tensor, Tensor):
            raise TypeError(f"{name} must be a tensor, got {type(tensor).__name__}")
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


def check_choice(name: str, value: str, allowed: Sequence[str]) -> None:
    """``value`` is one of ``allowed``."""
    if value not in allowed:
        raise ValueError(f"{name} = {value!r}: {spelling_hint(str(value), allowed)}")


def check_positive(name: str, value: float) -> None:
    """``value`` is a finite number above 0."""
    if not (_is_real(value) and 0 < value < float("inf")):
        raise ValueError(f"{name} = {value!r}: expected a finite number above 0")


def check_non_negative(name: str, value: float) -> None:
    """``value`` is a finite number, 0 or above."""
    if not (_is_real(value) and 0 <= value < float("inf")):
        raise ValueError(f"{name} = {value!r}: expected a finite number, 0 or above")


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
        ValueError: Another shape or device, or a weight below 0 or not finite.
    """
    expected = (logits.shape[0], *logits.shape[2:])
    for name, tensor in (("mask", mask), ("weight", weight)):
        if tensor is None:
            continue
        if not isinstance(tensor, Tensor):
            raise TypeError(f"{name} must be a tensor, got {type(tensor).__name__}")
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
    require(((weight >= 0) & weight.isfinite()).all(), "weight must be finite and 0 or above wherever the mask is True")
    return weight


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
    if not isinstance(target, Tensor) or target.is_floating_point() or target.dtype == torch.bool:
        raise TypeError(f"target must be integers, got {getattr(target, 'dtype', type(target).__name__)}")
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


def require(condition: Tensor, message: str) -> None:
    """Raise ``ValueError`` unless the condition holds; on a GPU the check does not wait, and aborts later."""
    if torch.compiler.is_compiling():
        return
    if condition.is_cuda:
        torch._assert_async(condition, message)
    elif not bool(condition):
        raise ValueError(message)
