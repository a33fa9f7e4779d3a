"""Values that a file brought, compared with what they must be."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mmdist.errors import CheckpointError

MAX_DEPTH = 64
IN_MEMORY = "a tensor with its elements in memory"
MAX_NUMBER = 2**53  # up to here a float counts
LONGEST_SHOWN = 60  # characters


def unfit(place: str, value: Any, expected: str) -> CheckpointError:
    """The error of a value that cannot be used.

    Args:
        place (str): Where it stands, such as ``meta.iter``.
        value (Any): What the file says; shown short, and never as it is.
        expected (str): What would be right.

    Example:
        >>> str(unfit('meta.iter', -1, 'a whole number from 0 to 8'))
        'meta.iter = -1: expected a whole number from 0 to 8'
    """
    return CheckpointError(f"{place} = {shown(value)}: expected {expected}")


def shown(value: Any) -> str:
    """A few characters for a value of any type and size, with nothing in it that a terminal obeys.

    Example:
        >>> shown(10**9000), shown({'a': 1}), shown('a\\x1b[2J')
        ('a number of 29898 bits', 'a dict of 1', "'a\\\\x1b[2J'")
    """
    if isinstance(value, int) and value.bit_length() > 64:
        return f"a number of {value.bit_length()} bits"
    if value is None or isinstance(value, bool | int | float):
        return repr(value)
    if isinstance(value, str | bytes):
        return ascii(value[:LONGEST_SHOWN]) + ("..." if len(value) > LONGEST_SHOWN else "")
    if isinstance(value, Tensor):
        return tensor_of(value.dtype, value.shape)
    return f"a {type(value).__name__}" + (f" of {len(value)}" if isinstance(value, dict | list | tuple) else "")


def tensor_of(dtype: torch.dtype, shape: Sequence[int]) -> str:
    """A phrase for a tensor.

    Example:
        >>> tensor_of(torch.float32, (2, 3))
        'a tensor of float32 and shape (2, 3)'
    """
    return f"a tensor of {str(dtype).removeprefix('torch.')} and shape {tuple(shape)}"


def whole(place: str, value: Any, low: int, high: int) -> int:
    """A whole number within bounds, both included.

    Raises:
        CheckpointError: It is none; True and 1.0 are none either.
    """
    if type(value) is not int or not low <= value <= high:
        raise unfit(place, value, f"a whole number from {low} to {high}")
    return value


def is_number(value: Any) -> bool:
    """Whether a value is one real number; an infinite one is, NaN is none."""
    return isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool) and value == value


def dictionary(place: str, value: Any) -> dict[Any, Any]:
    """A dictionary whose keys are texts."""
    if not isinstance(value, dict) or not all(type(key) is str for key in dict.keys(value)):
        raise unfit(place, value, "a dictionary by name")
    return value


def strided(place: str, value: Any, dtype: torch.dtype, shape: Sequence[int]) -> Tensor:
    """A tensor of a type and shape, with its elements in memory, one after the other."""
    if not is_usual(value) or not value.is_contiguous() or value.dtype != dtype or tuple(value.shape) != tuple(shape):
        raise unfit(place, value, tensor_of(dtype, shape))
    return value


def is_usual(value: Any) -> bool:
    """Whether a value is a tensor whose elements are in memory as they are."""
    # A lazily negated view has other values than the bytes that C code reads.
    usual = isinstance(value, Tensor) and value.layout == torch.strided and not value.is_meta and not value.is_quantized
    return usual and not value.is_neg() and not value.is_conj()


def check_nesting(content: Any) -> None:
    """Nothing in a file is nested so deep, or so disguised, that copying, comparing and saving it again fail.

    Args:
        content (Any): What was loaded; may refer to itself.

    Raises:
        CheckpointError: It is.
    """
    level, seen, depth = [("the checkpoint", content)], set(), 0
    while level:
        if depth > MAX_DEPTH:
            raise CheckpointError(f"{level[0][0]} is nested more than {MAX_DEPTH} deep")
        following = []
        for place, node in level:
            if id(node) not in seen:
                seen.add(id(node))
                following += [(place if depth else name, part) for name, part in _parts(place, node)]
        level, depth = following, depth + 1


def _parts(place: str, node: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(node, dict):
        # A file can give an OrderedDict attributes, which then hide its methods; torch itself notes one so.
        hidden = sorted(map(str, vars(node).keys() - {"_metadata"})) if type(node) is OrderedDict else []
        if hidden:
            raise CheckpointError(f"{place}: a dictionary has an attribute {shown(hidden[0])}, expected none")
        entries = [(shown(key), value) for key, value in dict.items(node)]
        entries += [(place, key) for key in dict.keys(node)]
    else:
        entries = [(place, value) for value in node]
    for name, part in entries:
        if isinstance(part, Tensor) and not is_usual(part):  # saving would fail
            raise unfit(name, part, IN_MEMORY)
        if isinstance(part, dict | list | tuple | set | frozenset):
            yield name, part


def check_like(place: str, given: Any, fresh: Any, *, counts: bool = False) -> None:
    """A value that takes the place of another one is of its kind.

    Args:
        place (str): Where it stands.
        given (Any): What the file says.
        fresh (Any): What a newly built object has there.
        counts (bool): A whole number above 0 must stay above 0, because something is divided by it.

    Raises:
        CheckpointError: It is not: another type, length or shape, NaN, a negative number in place of another one, or
            another text.
    """
    if fresh is None or isinstance(fresh, bool):
        # None leaves a choice to the object, such as between two implementations.
        if given is not None and not isinstance(given, bool) and not (fresh is None and _usable(given)):
            raise unfit(place, given, "True, False or None" if fresh is not None else "a number, True, False or None")
    elif is_number(fresh):
        least = 1 if counts and isinstance(fresh, int) and fresh > 0 else 0 if fresh >= 0 else -math.inf
        if is_usual(given) and given.numel() == 1:
            given = given.item()
        if not _usable(given) and not (is_number(given) and math.isinf(fresh)):
            raise unfit(place, given, "a number")
        if isinstance(fresh, int) and counts and not isinstance(given, int):
            raise unfit(place, given, "a whole number")
        if given < least:
            raise unfit(place, given, f"a number of at least {least}")
    elif isinstance(fresh, str):
        if given != fresh:
            raise unfit(place, given, repr(fresh))
    elif isinstance(fresh, Tensor):
        if fresh.numel() != 1 or not _usable(given):
            strided(place, given, fresh.dtype, fresh.shape)
    elif isinstance(fresh, list | tuple):
        if not isinstance(given, list | tuple) or len(given) != len(fresh):
            raise unfit(place, given, f"a list of {len(fresh)}")
        for index, pair in enumerate(zip(given, fresh, strict=True)):
            check_like(f"{place}.{index}", *pair, counts=counts)
    elif isinstance(fresh, dict):
        _check_like_dict(place, given, fresh, counts)
    elif type(given) is not type(fresh) or getattr(given, "__qualname__", "") != getattr(fresh, "__qualname__", ""):
        raise unfit(place, given, shown(fresh))


def _check_like_dict(place: str, given: Any, fresh: dict[Any, Any], counts: bool) -> None:
    if not isinstance(given, dict):
        raise unfit(place, given, "a dictionary")
    if all(type(key) is int for key in fresh):  # milestones: which ones is the file's to say
        for key, value in dict.items(given):
            whole(f"{place}: a key", key, 0, MAX_NUMBER)
            whole(f"{place}.{key}", value, 0, MAX_NUMBER)
        return
    for key in dict.keys(given):
        if key not in fresh:
            raise unfit(place, key, "a key that this run has too")
        check_like(f"{place}.{key}", given[key], fresh[key], counts=counts)


def _usable(value: Any) -> bool:
    return is_number(value) and abs(value) <= MAX_NUMBER
