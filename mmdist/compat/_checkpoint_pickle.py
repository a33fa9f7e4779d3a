"""A pickle read as data: every object in it is known by its rule before torch builds the first one.

torch's safe loader knows which names a file may mention, not what it may do with them: a tensor larger than its
storage, memory that nothing was written into, a table whose keys all collide. Here the same pickle runs on a small
machine that builds nothing. It keeps descriptions, :mod:`mmdist.compat._checkpoint_rules` judges them, and what
passes is handed to torch.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from io import BytesIO
from pickle import UnpicklingError
from struct import unpack
from typing import Any, BinaryIO

from mmdist.compat._checkpoint_description import Made, Name, Table, damaged, refusal
from mmdist.compat._checkpoint_rules import Rules
from mmdist.errors import printable

MOST_STEPS = 2_000_000  # each can take memory; a ResNet-50 with its optimizer needs 26,000
LARGE = 2**20  # bytes at once
LONGEST_NUMBER = 17  # bytes: the state of a 128-bit generator is the longest that is written

_FIXED = {b"J": (4, "<i"), b"K": (1, "<B"), b"M": (2, "<H"), b"G": (8, ">d")}
_CONSTANTS: dict[bytes, Callable[[], Any]] = {
    b"N": lambda: None,
    b"\x88": lambda: True,
    b"\x89": lambda: False,
    b")": tuple,
    b"]": list,
    b"}": Table,
    b"\x8f": Table,  # a set
}


def inspect_pickle(data: bytes | BinaryIO, rules: Rules) -> Any:
    """Follow one pickle to its end.

    Args:
        data (bytes | BinaryIO): The pickle; a file is left behind its last byte.
        rules (Rules): What is allowed; collects the storages that the pickle asks for.

    Returns:
        Any: A description of the content: plain values, lists and tuples, :class:`Table` for what has keys, and
        :class:`Made` or :class:`Name` for the rest.

    Raises:
        UnpicklingError: Something is not allowed, or is no pickle that torch reads.
    """
    return _Machine(BytesIO(data) if isinstance(data, bytes) else data, rules).run()


class _Machine:
    def __init__(self, file: BinaryIO, rules: Rules) -> None:
        self.file, self.rules = file, rules
        self.stack: list[Any] = []
        self.marks: list[list[Any]] = []
        self.memo: dict[int, Any] = {}
        self.steps = 0

    def run(self) -> Any:
        for self.steps in range(MOST_STEPS):
            code = self._read(1)
            if code == b".":
                return self._pop()
            if code in _CONSTANTS:
                self.stack.append(_CONSTANTS[code]())
            elif code in _FIXED:
                size, form = _FIXED[code]
                self.stack.append(unpack(form, self._read(size))[0])
            else:
                step = _STEPS.get(code)
                if step is None:
                    raise UnpicklingError(f"Unsupported operand {code[0]}")
                step(self)
        raise damaged(f"it has more than {MOST_STEPS:,} steps")

    def _read(self, count: int) -> bytes:
        if count > LARGE:  # a file object would take the memory first, and look what there is then
            place = self.file.tell()
            count = min(count, self.file.seek(0, os.SEEK_END) - place + 1)
            self.file.seek(place)
        data = self.file.read(count)
        if len(data) != count:
            raise damaged("it is cut short")
        return data

    def _pop(self) -> Any:
        if not self.stack:
            raise damaged("it is no pickle")
        return self.stack.pop()

    def _top(self) -> Any:
        if not self.stack:
            raise damaged("it is no pickle")
        return self.stack[-1]

    def _to_mark(self) -> list[Any]:
        if not self.marks:
            raise damaged("it is no pickle")
        items, self.stack = self.stack, self.marks.pop()
        return items

    def protocol(self) -> None:
        if (version := self._read(1)[0]) != 2:
            raise UnpicklingError(f"weights_only: pickle protocol {version}, expected 2")

    def mark(self) -> None:
        self.marks.append(self.stack)
        self.stack = []

    def text(self) -> None:
        (size,) = unpack("<I", self._read(4))
        self.stack.append(str(self._read(size), "utf-8", "surrogatepass"))

    def short_text(self) -> None:
        self.stack.append(self._read(self._read(1)[0]).decode("utf-8"))

    def number(self) -> None:
        if (size := self._read(1)[0]) > LONGEST_NUMBER:
            raise damaged(f"it has a whole number of {size} bytes")
        self.stack.append(int.from_bytes(self._read(size), "little", signed=True))

    def put(self, size: int) -> None:
        index = int.from_bytes(self._read(size), "little")
        # Writers count up, some of them leaving numbers out; others could be chosen to collide.
        if index > self.steps:
            raise damaged("its objects are not numbered in order")
        self.memo[index] = self._top()

    def get(self, size: int) -> None:
        index = int.from_bytes(self._read(size), "little")
        if index not in self.memo:
            raise damaged("it refers to an object that it does not have")
        self.stack.append(self.memo[index])

    def name(self) -> None:
        lines = [self.file.readline(1000) for _ in range(2)]
        if not all(line.endswith(b"\n") for line in lines):
            raise damaged("it is cut short")
        self.stack.append(self.rules.name(*(line[:-1].decode("utf-8") for line in lines)))

    def tuple_of(self, count: int) -> None:
        if len(self.stack) < count:
            raise damaged("it is no pickle")
        self.stack[-count:] = [tuple(self.stack[-count:])]

    def tuple_to_mark(self) -> None:
        items = tuple(self._to_mark())
        self.stack.append(items)

    def append(self, items: list[Any]) -> None:
        if type(target := self._top()) is not list:
            raise damaged("it appends to what is no list")
        target.extend(items)

    def set_items(self, items: list[Any]) -> None:
        target = self._top()
        if not isinstance(target, Table) or len(items) % 2:
            raise damaged("it sets keys of what has none")
        for key, value in zip(items[::2], items[1::2], strict=True):
            self.rules.key(key)
            target.items.append((key, value))

    def set_item(self) -> None:
        value, key = self._pop(), self._pop()
        self.set_items([key, value])

    def call(self, new: bool) -> None:
        arguments, function = self._pop(), self._pop()
        if not isinstance(function, Name) or type(arguments) is not tuple:
            raise refusal(f"a call of a {type(function).__name__}")
        self.stack.append(self.rules.call(function, arguments, new))

    def build(self) -> None:
        state, target = self._pop(), self._top()
        if not isinstance(target, Made | Table):
            raise refusal(f"the state of {printable(target) if isinstance(target, Name) else type(target).__name__}")
        self.rules.build(target, state)

    def storage(self) -> None:
        self.stack.append(self.rules.storage(self._pop()))


_STEPS: dict[bytes, Callable[[_Machine], None]] = {
    b"\x80": _Machine.protocol,
    b"(": _Machine.mark,
    b"X": _Machine.text,
    b"U": _Machine.short_text,
    b"\x8a": _Machine.number,
    b"q": lambda machine: machine.put(1),
    b"r": lambda machine: machine.put(4),
    b"h": lambda machine: machine.get(1),
    b"j": lambda machine: machine.get(4),
    b"c": _Machine.name,
    b"t": _Machine.tuple_to_mark,
    b"\x85": lambda machine: machine.tuple_of(1),
    b"\x86": lambda machine: machine.tuple_of(2),
    b"\x87": lambda machine: machine.tuple_of(3),
    b"a": lambda machine: machine.append([machine._pop()]),
    b"e": lambda machine: machine.append(machine._to_mark()),
    b"s": _Machine.set_item,
    b"u": lambda machine: machine.set_items(machine._to_mark()),
    b"R": lambda machine: machine.call(new=False),
    b"\x81": lambda machine: machine.call(new=True),
    b"b": _Machine.build,
    b"Q": _Machine.storage,
}
