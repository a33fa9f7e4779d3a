"""Weights in the format of ``safetensors``, as a checkpoint.

The format has no checksum; ``mmdist export`` writes a SHA-256 into its metadata. Of the metadata nothing else is read
than what the export writes: a config in it, say, is none.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from importlib.util import find_spec
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO

from mmdist.compat._checkpoint_archive import CHUNK
from mmdist.errors import CheckpointError, MissingPackageError

DIGEST, METADATA = "sha256", "__metadata__"
META = {"dataset_meta": dict, "epoch": int, "iter": int, "weights": str, "mmdist_version": str}
LONGEST_HEAD = 10**8  # bytes, as the format has it
STRING, BRACKET = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"'), re.compile(r"[\[\]{}]")
DEEPEST, LARGEST = 20, 2**63  # of a data set's description, which is lists of names and colours


def recognized(head: bytes) -> bool:
    """Whether a file that begins so is of the format: the length of its header, and a JSON object.

    Example:
        >>> recognized(b'\\x10' + bytes(7) + b'{"weight":')
        True
    """
    return head[8:9] == b"{" and int.from_bytes(head[:8], "little") < 2**32


def load(path: Path, map_location: Any = "cpu") -> dict[str, Any]:
    """The file's tensors as ``state_dict``, and what ``mmdist export`` wrote beside them as ``meta``.

    Args:
        path (Path): The file.
        map_location (Any): A device; what else :func:`torch.load` takes leaves the tensors on the CPU.

    Raises:
        CheckpointError: It is damaged.
        MissingPackageError: Without ``safetensors``.
    """
    import torch

    if find_spec("safetensors") is None:
        raise MissingPackageError("safetensors", f"reading {path}")
    from safetensors import SafetensorError, safe_open

    meta = read_meta(path)
    try:
        with safe_open(path, framework="pt", device="cpu") as file:
            state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  (no mapping)
    # The package has an error of its own; torch has others for shapes that it cannot have.
    except (SafetensorError, RuntimeError, ValueError, TypeError, OverflowError, KeyError, AttributeError) as error:
        raise CheckpointError(f"{path} cannot be read: {error}: copy or download it again") from error
    if isinstance(map_location, str | torch.device):
        state = {name: tensor.to(map_location) for name, tensor in state.items()}
    return {"meta": meta, "state_dict": state}


def read_meta(path: Path) -> dict[str, Any]:
    """What ``mmdist export`` wrote beside the weights: text as it is, all else as JSON.

    Args:
        path (Path): The file.

    Returns:
        dict[str, Any]: Those of :data:`META` that are there.

    Raises:
        CheckpointError: The head is damaged, or a value is not what the export writes.
    """
    with path.open("rb") as file:
        texts = _texts(_head(file, path))
    return {key: _value(path, key, texts[key]) for key in META if isinstance(texts.get(key), str)}


def check(path: Path) -> str:
    """Compare a file with the SHA-256 that ``mmdist export`` wrote into it.

    Args:
        path (Path): The file.

    Returns:
        str: ``sha256``, or nothing where there is none.

    Raises:
        CheckpointError: They differ, or the head is damaged.
    """
    with path.open("rb") as file:
        head = _head(file, path)
        written = _texts(head).get(DIGEST)
        if written is None:
            return ""
        if digest(head, file) != written:
            raise CheckpointError(
                f"{path} is damaged or was changed: its SHA-256 is not the one that was written into it: copy or "
                "download it again"
            )
    return "sha256"


def digest(head: dict[str, Any], data: BinaryIO) -> str:
    """The SHA-256 of a file's names, shapes, metadata and numbers; of itself alone it says nothing.

    Args:
        head (dict[str, Any]): The JSON object that the file begins with.
        data (BinaryIO): What comes after it.
    """
    head = {**head, METADATA: {key: value for key, value in _texts(head).items() if key != DIGEST}}
    found = hashlib.sha256(json.dumps(head, sort_keys=True).encode())
    while chunk := data.read(CHUNK):
        found.update(chunk)
    return found.hexdigest()


def stamp(content: bytes) -> bytes:
    """A file with the SHA-256 of its content in its metadata.

    Args:
        content (bytes): The file without it.
    """
    start = 8 + int.from_bytes(content[:8], "little")
    head, data = json.loads(content[8:start]), content[start:]
    # The package writes its entries in an order of chance: sorted, the same weights make the same file.
    head[METADATA] = dict(sorted({**_texts(head), DIGEST: digest(head, BytesIO(data))}.items()))
    text = json.dumps(head, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)  # the numbers begin at a multiple of eight
    return len(text).to_bytes(8, "little") + text + data


def _head(file: BinaryIO, path: Path) -> dict[str, Any]:
    size = int.from_bytes(file.read(8), "little")
    if size > min(LONGEST_HEAD, os.fstat(file.fileno()).st_size - 8):
        raise CheckpointError(f"{path} cannot be read: it is cut short: copy or download it again")
    try:
        return _parse(file.read(size).decode())
    except ValueError as error:
        raise CheckpointError(f"{path} cannot be read: its head is damaged or hostile: {error}") from error


def _parse(text: str) -> Any:
    """JSON that is not nested deeply: where a process has raised Python's limit, its parser would end in a crash."""
    depth = 0
    for bracket in BRACKET.findall(STRING.sub("", text)):
        depth += 1 if bracket in "[{" else -1
        if depth > DEEPEST:
            raise ValueError(f"it is nested more than {DEEPEST} deep")
    return json.loads(text, object_pairs_hook=_without_doubles)


def _without_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name is twice in it")
    return found


def _texts(head: dict[str, Any]) -> dict[str, Any]:
    texts = head.get(METADATA)
    return texts if isinstance(texts, dict) else {}


def _value(path: Path, key: str, text: str) -> Any:
    kind = META[key]
    try:
        value = text if kind is str else _parse(text)
    except ValueError:
        value = None
    if not isinstance(value, kind) or isinstance(value, bool) or not _is_plain(value):
        raise CheckpointError(f"{path} cannot be read: its metadata {key!r} is not what an export writes")
    return value


def _is_plain(value: Any) -> bool:
    if isinstance(value, list | dict):
        return all(map(_is_plain, value.values() if isinstance(value, dict) else value))
    return not isinstance(value, int) or abs(value) < LARGEST
