"""Checkpoints that ``torch.save`` would not write: pickles put together by hand, in both of torch's formats."""

from __future__ import annotations

import json
import struct
import zipfile
from collections.abc import Mapping
from pathlib import Path

MAGIC, PROTOCOL = 0x1950A86A20F9469CFC6C, 1001


def name(module: str, attribute: str) -> bytes:
    return f"c{module}\n{attribute}\n".encode()


def text(value: str) -> bytes:
    data = value.encode("utf-8", "surrogatepass")
    return b"X" + struct.pack("<I", len(data)) + data


def number(value: int) -> bytes:
    data = value.to_bytes((value.bit_length() + 8) // 8, "little", signed=True)
    return b"\x8a" + bytes([len(data)]) + data


def flag(value: bool) -> bytes:
    return b"\x88" if value else b"\x89"


NONE = b"N"


def items(*parts: bytes) -> bytes:
    return b"(" + b"".join(parts) + b"t"


def listed(*parts: bytes) -> bytes:
    return b"](" + b"".join(parts) + b"e"


def table(*pairs: tuple[bytes, bytes]) -> bytes:
    return b"}(" + b"".join(key + value for key, value in pairs) + b"u"


def call(function: bytes, *arguments: bytes) -> bytes:
    return function + items(*arguments) + b"R"


def new(kind: bytes, *arguments: bytes) -> bytes:
    return kind + items(*arguments) + b"\x81"


def build(made: bytes, state: bytes) -> bytes:
    return made + state + b"b"


def numbers(*values: int) -> bytes:
    return items(*map(number, values))


def raw(data: bytes) -> bytes:
    return call(name("_codecs", "encode"), text(data.decode("latin1")), text("latin1"))


def storage(count: int, key: str = "0", kind: str = "FloatStorage", legacy: bool = False) -> bytes:
    parts = [text("storage"), name("torch", kind), text(key), text("cpu"), number(count)]
    return items(*parts, *([NONE] if legacy else [])) + b"Q"


def tensor(
    stored: bytes, size: tuple[int, ...] = (4,), stride: tuple[int, ...] = (1,), offset: int = 0, flags: bytes = b""
) -> bytes:
    hooks = call(name("collections", "OrderedDict"))
    parts = [stored, number(offset), numbers(*size), numbers(*stride), flag(False), hooks, *([flags] if flags else [])]
    return call(name("torch._utils", "_rebuild_tensor_v2"), *parts)


def dtype(code: str = "f4", size: int = -1, core: bytes = b"", byteorder: str = "<") -> bytes:
    made = call(name("numpy", "dtype"), text(code), flag(False), flag(True))
    state = items(number(3), text(byteorder), NONE, NONE, NONE, number(size), number(-1), number(0))
    return build(made, core or state)


def array(shape: tuple[int, ...], data: bytes, kind: bytes = b"", start: tuple[int, ...] = (0,)) -> bytes:
    made = call(name("numpy.core.multiarray", "_reconstruct"), name("numpy", "ndarray"), numbers(*start), raw(b"b"))
    return build(made, items(number(1), numbers(*shape), kind or dtype(), flag(False), raw(data)))


def write_zip(path: Path, body: bytes, storages: Mapping[str, bytes] | None = None, **entries: bytes) -> Path:
    """A pickle and its storages as an archive of ``torch.save``."""
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", b"\x80\x02" + body + b".")
        archive.writestr("archive/byteorder", b"little")
        for key, data in (storages or {}).items():
            archive.writestr(f"archive/data/{key}", data)
        archive.writestr("archive/version", b"3\n")
        for entry, data in entries.items():
            archive.writestr(f"archive/{entry}", data)
    return path


def write_legacy(path: Path, body: bytes, storages: Mapping[str, tuple[int, bytes]] | None = None) -> Path:
    """The same in the format before torch 1.6; a storage is how many numbers it has, and their bytes."""
    system = table((text("little_endian"), flag(True)))
    keys = listed(*map(text, storages or {}))
    pickles = [number(MAGIC), number(PROTOCOL), system, body, keys]
    data = b"".join(b"\x80\x02" + part + b"." for part in pickles)
    for count, content in (storages or {}).values():
        data += struct.pack("<q", count) + content
    path.write_bytes(data)
    return path


def write_safetensors(path: Path, head: dict | bytes, data: bytes = b"") -> Path:
    """A head and numbers in the format of ``safetensors``."""
    content = head if isinstance(head, bytes) else json.dumps(head).encode()
    path.write_bytes(len(content).to_bytes(8, "little") + content + data)
    return path


def student(weights: bytes, *more: tuple[bytes, bytes]) -> bytes:
    """A checkpoint of a distillation whose student has one weight."""
    state = table((text("architecture.head.weight"), weights))
    return table((text("state_dict"), state), *more)
