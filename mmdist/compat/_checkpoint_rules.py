"""What a checkpoint may hold, judged from the description of it; and the limits that a whole file has."""

from __future__ import annotations

import math
from typing import Any

try:  # torch's own copies, which it reads the same file with
    from torch._utils import IMPORT_MAPPING, NAME_MAPPING
except ImportError:  # before torch 2.3
    from _compat_pickle import IMPORT_MAPPING, NAME_MAPPING

from mmdist.compat._checkpoint_calls import CALLS, NEW, takes
from mmdist.compat._checkpoint_description import (
    DTYPES,
    Made,
    Name,
    Table,
    are_counts,
    check_tree,
    damaged,
    is_count,
    is_made,
    refusal,
    storage_size,
)
from mmdist.compat._checkpoint_states import check_state

# Numbers can be chosen so that all have one hash; text cannot, as its hash differs in each process.
MOST_ODD_KEYS, LARGEST_PLAIN_KEY = 1000, 2**16
VIEWS, SMALL = 16, 2**26  # how often tensors may see the storages, and bytes that are not counted
TENSORS = {
    "_rebuild_sparse_tensor": "a sparse tensor",
    "_rebuild_meta_tensor_no_storage": "a tensor without values (device 'meta')",
    "_rebuild_qtensor": "a quantised tensor",
    "_rebuild_nested_tensor": "a nested tensor",
    "_rebuild_wrapper_subclass": "a tensor of a subclass",
    "_rebuild_from_type_v2": "a tensor of a subclass, or one with attributes",
    "_rebuild_parameter_with_state": "a parameter with attributes",
    "_rebuild_device_tensor_from_numpy": "a tensor of another device's kind",
    "_rebuild_device_tensor_from_cpu_tensor": "a tensor of another device's kind",
}


class Rules:
    """The rules, and what a file has used of its limits.

    Args:
        legacy (bool): The file is of torch's format before 1.6, which describes storages a little otherwise.
    """

    def __init__(self, legacy: bool = False) -> None:
        self.legacy = legacy
        self.storages: dict[str, tuple[int, int]] = {}  # by key: how many numbers, and bytes of each
        self._odd_keys, self._seen = 0, 0

    def name(self, module: str, name: str) -> Name:
        """What a pair of names stands for."""
        module, name = NAME_MAPPING.get((module, name), (IMPORT_MAPPING.get(module, module), name))
        path = f"{module}.{name}"
        if path in CALLS or path in NEW or path in DTYPES or storage_size(path) or path == "numpy.ndarray":
            return Name(path)
        if path.startswith("torch._") and name in TENSORS:
            raise damaged(f"it holds {TENSORS[name]}, and weights are dense and plain")
        raise refusal(path)

    def key(self, key: Any) -> None:
        """A key of a dictionary, or an entry of a set."""
        if isinstance(key, str) or (type(key) is int and 0 <= key < LARGEST_PLAIN_KEY):
            return
        if not isinstance(key, int | float | None) or (isinstance(key, int) and abs(key) >= 2**63):
            raise damaged(f"it has a key that is a {type(key).__name__}, or a number out of bounds")
        self._odd_keys += 1
        if self._odd_keys > MOST_ODD_KEYS:
            raise damaged(f"more than {MOST_ODD_KEYS:,} keys are large numbers")

    def storage(self, saved: Any) -> Made:
        """A storage, which the file keeps outside of the pickle."""
        expected = 6 if self.legacy else 5
        if type(saved) is not tuple or len(saved) != expected or saved[0] != "storage":
            raise damaged("a reference that is none to a storage")
        kind, key, location, count = saved[1:5]
        size = storage_size(kind.path) if isinstance(kind, Name) else 0
        if not size or not isinstance(key, str) or not isinstance(location, str) or not is_count(count):
            raise damaged("a reference to a storage that makes no sense")
        # A view of a storage, as torch before 0.4 wrote them, would need rules of its own.
        if self.storages.setdefault(key, (count, size)) != (count, size) or (self.legacy and saved[5] is not None):
            raise damaged("a storage has two sizes")
        return Made("storage", (count * size, size))

    def call(self, function: Name, arguments: tuple, new: bool) -> Any:
        """A call of what a file names, or with ``new`` an object of it without its constructor."""
        rule = (NEW if new else CALLS).get(function.path)
        if rule is None:
            raise refusal(f"{function.path} as a function")
        made = rule(self, *arguments) if takes(rule, len(arguments) + 1) else None
        if made is None:
            raise damaged(f"{function.path} is called with what it does not take")
        return made

    def build(self, target: Made | Table, state: Any) -> None:
        """The state of an object that has been made."""
        if isinstance(target, Made):
            check_state(target, state)
            return
        # The versions of modules, which a state dict carries along
        if not target.ordered or not isinstance(state, Table) or any(name != "_metadata" for name, _ in state.items):
            raise damaged("a dictionary has attributes")
        target.items += [(None, value) for _, value in state.items]

    def tensor(self, storage: Any, offset: Any, size: Any, stride: Any, width: int | None = None) -> Made | None:
        """A tensor, which lies within its storage.

        Args:
            storage (Any): What it looks at.
            offset (Any): Where it begins, in numbers.
            size (Any): Its shape.
            stride (Any): Its steps, in numbers.
            width (int, optional): Bytes of a number, where they are not the storage's.
        """
        if not is_made(storage, "storage") or not is_count(offset):
            return None
        if not are_counts(size) or not are_counts(stride) or len(size) != len(stride):
            return None
        width, count = width or storage.value[1], math.prod(size)
        last = offset + sum((length - 1) * step for length, step in zip(size, stride, strict=True))
        if (last + 1 if count else offset) * width > storage.value[0]:
            raise damaged("a tensor reaches beyond its storage")
        self._seen += count * width
        return Made("tensor")

    def finish(self, content: Any) -> None:
        """The whole is a tree of bounded depth, and its tensors do not see the same numbers over and over."""
        if self._seen > SMALL + VIEWS * sum(count * size for count, size in self.storages.values()):
            raise damaged(f"its tensors repeat the same numbers more than {VIEWS} times")
        check_tree(content)
