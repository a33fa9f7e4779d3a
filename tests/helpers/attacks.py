"""Hostile checkpoints, by what they try; each is refused in one line, in every format that can hold it."""

from __future__ import annotations

import json
from pathlib import Path

from helpers import forged_files as forged
from helpers.forged_files import array, build, call, dtype, flag, items, listed, name, new, number, numbers, text

SIXTEEN = bytes(16)  # four numbers, of which the student's weight is made
FINE = forged.tensor(forged.storage(4))
HISTORY = name("mmengine.logging.history_buffer", "HistoryBuffer")
COLLISIONS = 2**61 - 1  # whole multiples of it have one hash


def nested(count: int, opening: bytes, closing: bytes) -> bytes:
    return opening * count + closing * (count - 1)


def shared(levels: int) -> bytes:
    """A list of two times a list of two times a list...: 2 ** levels values out of a few bytes."""
    made = b"]q\x00"
    for level in range(levels):
        made += b"](h" + bytes([level]) + b"h" + bytes([level]) + b"eq" + bytes([level + 1])
    return listed(made)


def within_itself() -> bytes:
    return b"]q\x00(h\x00e"


def with_meta(value: bytes, weights: bytes = FINE) -> bytes:
    """An attack where an export looks: in what describes the data set."""
    dataset = forged.table((text("dataset_meta"), forged.table((text("x"), value))))
    return forged.student(weights, (text("meta"), dataset))


# What a pickle holds; in every one there is a weight of four numbers beside it.
PICKLES: dict[str, bytes] = {
    "dtype of 65536 bytes": with_meta(array((4,), SIXTEEN, dtype("f4", 65536))),
    "dtype of 2**27 bytes": with_meta(array((4,), SIXTEEN, dtype("f4", 2**27))),
    "dtype of no bytes": with_meta(array((2**40,), b"", dtype("f4", 0))),
    "text of 65536 bytes": with_meta(array((1,), bytes(4), dtype("U1", 65536))),
    "dtype with fields": with_meta(
        array((1,), SIXTEEN, dtype(core=items(number(3), text("<"), b"N", listed(text("a")), b"N", *[number(-1)] * 3)))
    ),
    "dtype that is one of objects": with_meta(array((2,), SIXTEEN, dtype("O8"))),
    "dtype of the class of numpy": with_meta(call(name("numpy", "dtype"), name("numpy", "ndarray"), flag(False))),
    "array longer than its bytes": with_meta(array((2**20,), SIXTEEN)),
    "array of negative length": with_meta(array((-4,), SIXTEEN)),
    "array of nothing written": with_meta(
        call(name("numpy.core.multiarray", "_reconstruct"), name("numpy", "ndarray"), numbers(65536), forged.raw(b"b"))
    ),
    "array made by its class": with_meta(call(name("numpy", "ndarray"), numbers(65536))),
    "array without its constructor": with_meta(new(name("numpy", "ndarray"), numbers(65536))),
    "characters that there are not": with_meta(array((1,), b"\xff" * 4, call(name("numpy", "dtype"), text("U1")))),
    "scalar with too few bytes": with_meta(
        call(name("numpy.core.multiarray", "scalar"), dtype("f8"), forged.raw(b"x"))
    ),
    "scalar of 65536 bytes": with_meta(
        call(name("numpy._core.multiarray", "scalar"), dtype("f4", 65536), forged.raw(SIXTEEN))
    ),
    "memory as a tensor": with_meta(call(name("torch", "Tensor"), number(65536))),
    "memory as a storage": with_meta(call(name("torch.storage", "UntypedStorage"), number(65536))),
    "memory as bytes": with_meta(call(name("__builtin__", "bytearray"), number(2**40))),
    "tensor beyond its storage": forged.student(forged.tensor(forged.storage(4), (65536,))),
    "tensor behind its storage": forged.student(forged.tensor(forged.storage(4), (1,), (1,), 10**6)),
    "tensor before its storage": forged.student(forged.tensor(forged.storage(4), (4,), (-1,), 4)),
    "storage larger than its record": forged.student(forged.tensor(forged.storage(65536), (65536,))),
    "storage of two sizes": with_meta(forged.tensor(forged.storage(65536), (65536,))),
    "storage of another type": with_meta(forged.tensor(forged.storage(4, kind="DoubleStorage"))),
    "storage that is missing": with_meta(forged.tensor(forged.storage(4, "7"))),
    "a number seen ten billion times": forged.student(forged.tensor(forged.storage(4), (10**10,), (0,))),
    "sparse tensor": with_meta(call(name("torch._utils", "_rebuild_sparse_tensor"), b"N", items())),
    "meta tensor": with_meta(
        call(
            name("torch._utils", "_rebuild_meta_tensor_no_storage"),
            name("torch", "float32"),
            numbers(4),
            numbers(1),
            flag(False),
        )
    ),
    "nested tensor": with_meta(call(name("torch._utils", "_rebuild_nested_tensor"), FINE, FINE, FINE, FINE)),
    "quantised tensor": with_meta(call(name("torch._utils", "_rebuild_qtensor"), forged.storage(4))),
    "tensor with attributes": with_meta(
        call(name("torch._tensor", "_rebuild_from_type_v2"), b"N", b"N", items(), b"}")
    ),
    "complex weights": forged.student(forged.tensor(forged.storage(2, kind="ComplexFloatStorage"), (2,))),
    "whole numbers as names": forged.table((text("state_dict"), forged.table((number(3), FINE)))),
    "names that move the cursor": forged.table(
        (text("state_dict"), forged.table((text("architecture.\x1b[2J"), FINE)))
    ),
    "names that forge a line": forged.table((text("state_dict"), forged.table((text("a\nerror: none"), FINE)))),
    "names that turn the writing": forged.table(
        (text("state_dict"), forged.table((text("a\u202e\u200b\u3164"), FINE)))
    ),
    "keys of one hash": with_meta(forged.table(*[(number(COLLISIONS * (step + 1)), b"N") for step in range(20_000)])),
    "a set of one hash": with_meta(
        call(name("__builtin__", "set"), listed(*[number(step << 40) for step in range(20_000)]))
    ),
    "tuples as keys": with_meta(forged.table((items(number(1)), b"N"))),
    "a number of 2000 bits": with_meta(number(2**2000)),
    "lists 10000 deep": with_meta(nested(10_000, b"]", b"a")),
    "tuples 10000 deep": with_meta(b"N" + b"\x85" * 10_000),
    "a list in itself": with_meta(within_itself()),
    "lists that multiply": with_meta(shared(60)),
    "objects numbered out of order": with_meta(b"Nr\xff\xff\xff\x7f"),
    "a module by attribute": with_meta(call(name("__builtin__", "getattr"), HISTORY, text("__init__"))),
    "history of text": with_meta(build(new(HISTORY), forged.table((text("_log_history"), text("x"))))),
    "history with a method": with_meta(build(new(HISTORY), forged.table((text("mean"), text("x"))))),
    "attributes of a dictionary": with_meta(
        build(call(name("collections", "OrderedDict")), forged.table((text("items"), number(1))))
    ),
    "a call of a system": with_meta(call(name("posix", "system"), text("touch marker"))),
    "a class as a value": with_meta(name("torch._utils", "_rebuild_tensor_v2")),
    "no dictionary": FINE,
    "weights that are none": forged.table((text("state_dict"), listed(number(1)))),
    "nothing": b"",
    "a mark": b"(",
}
# Of these the legacy format has a form of its own, or none
ZIP_ALONE = {"storage larger than its record"}

TEXTS: dict[str, str] = {
    "metadata 10000 deep": "[" * 10_000,
    "metadata of a huge number": "9" * 5000,
    "metadata out of bounds": "1" + "0" * 600,
    "metadata that is none": "{",
}


def write_attack(folder: Path, attack: str, form: str) -> Path:
    """One of the attacks as a file.

    Args:
        folder (Path): Where it goes.
        attack (str): A name out of :data:`PICKLES` or :data:`TEXTS`.
        form (str): ``zip``, ``legacy`` or ``safetensors``.
    """
    path = folder / ("hostile.safetensors" if form == "safetensors" else "hostile.pth")
    if form == "safetensors":
        weight = {"dtype": "F32", "shape": [4], "data_offsets": [0, 16]}
        head = {"__metadata__": {"iter": TEXTS[attack], "dataset_meta": TEXTS[attack]}, "architecture.w": weight}
        return forged.write_safetensors(path, json.dumps(head).encode(), SIXTEEN)
    body = PICKLES[attack]
    if form == "zip":
        return forged.write_zip(path, body, {"0": SIXTEEN})
    # A reference to a storage says one thing more there.
    return forged.write_legacy(path, body.replace(b"tQ", b"NtQ"), {"0": (4, SIXTEEN)})


ATTACKS: list[tuple[str, str]] = [
    *((attack, "zip") for attack in PICKLES),
    *((attack, "legacy") for attack in PICKLES if attack not in ZIP_ALONE),
    *((attack, "safetensors") for attack in TEXTS),
]
