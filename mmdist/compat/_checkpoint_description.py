"""How the content of a checkpoint is described before anything of it is built."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pickle import UnpicklingError
from typing import Any

import torch

HISTORY = "mmengine.logging.history_buffer.HistoryBuffer"
ONE_CYCLE = "mmengine.optim.scheduler.param_scheduler.OneCycleParamScheduler"
STATISTICS = ("min", "max", "mean", "current")
CURVES = ("_annealing_cos", "_annealing_linear")
MOST_DIMENSIONS, LONGEST_DIMENSION = 32, 2**48
DEEPEST, MOST_VALUES = 100, 5_000_000

STORAGES = {
    name: dtype.itemsize for dtype, name in torch.storage._dtype_to_storage_type_map().items() if name[0] != "Q"
}
DTYPES = {
    str(value): value.itemsize
    for value in vars(torch).values()
    if isinstance(value, torch.dtype) and not str(value).startswith(("torch.q", "torch.bits"))
}


@dataclass(eq=False)
class Name:
    """Something that a file names: a class, a function, a data type of torch."""

    path: str

    def __str__(self) -> str:
        return self.path


@dataclass(eq=False)
class Table:
    """What has keys, in the file's order and without being hashed."""

    items: list[tuple[Any, Any]] = field(default_factory=list)
    ordered: bool = False


@dataclass(eq=False)
class Made:
    """Something that a file makes by a call, with what is known of it."""

    kind: str
    value: Any = None


def refusal(what: str) -> UnpicklingError:
    """The error for an object that could run code; the loader finds the name in its text again."""
    return UnpicklingError(f"GLOBAL {what} was not an allowed global")


def damaged(why: str) -> UnpicklingError:
    """The error for content that no loader should be given."""
    return UnpicklingError(f"its content is damaged or hostile: {why}")


def is_made(value: Any, kind: str) -> bool:
    """Whether a value is an object of a kind."""
    return isinstance(value, Made) and value.kind == kind


def is_count(value: Any) -> bool:
    """Whether a value is a number that can count something."""
    return type(value) is int and 0 <= value < LONGEST_DIMENSION


def are_counts(values: Any) -> bool:
    """Whether a value is a shape."""
    return isinstance(values, tuple) and len(values) <= MOST_DIMENSIONS and all(map(is_count, values))


def storage_size(path: str) -> int:
    """Bytes of one number in a storage class; 0 for what is none."""
    if path == "torch.storage.UntypedStorage":
        return 1
    prefix, _, name = path.rpartition(".")
    return STORAGES.get(name, 0) if prefix in ("torch", "torch.cuda") else 0


def check_tree(content: Any) -> None:
    """No value is within itself, none so deep that readers end in a RecursionError, none shared until it multiplies.

    Args:
        content (Any): The description of a whole checkpoint.

    Raises:
        UnpicklingError: It is not so.
    """
    known: dict[int, tuple[int, int]] = {}  # depth, and number of values with shared ones counted each time
    open_: set[int] = set()
    stack = [(content, False)]
    while stack:
        value, done = stack.pop()
        if isinstance(value, Name) and value.path not in DTYPES:
            raise refusal(f"{value.path} as a value")
        if not isinstance(value, list | tuple | Table | Made) or id(value) in known:
            continue
        parts = list(_parts(value))
        if not done:
            if id(value) in open_:
                raise damaged("a value holds itself")
            open_.add(id(value))
            stack.append((value, True))
            stack += [(part, False) for part in parts]
            continue
        open_.discard(id(value))
        below = [known.get(id(part), (0, 1)) for part in parts]
        depth, size = 1 + max((d for d, _ in below), default=0), 1 + sum(n for _, n in below)
        if depth > DEEPEST:
            raise damaged(f"values are nested more than {DEEPEST} deep")
        if size > MOST_VALUES:
            raise damaged("values that share values multiply")
        known[id(value)] = (depth, size)


def _parts(value: Any) -> Iterable[Any]:
    if isinstance(value, Table):
        return (entry for _, entry in value.items)
    if isinstance(value, Made):
        return (value.value,) if value.kind == "history" else ()
    return value
