"""Weights in the format of ``safetensors``, as a checkpoint."""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from mmdist.errors import CheckpointError, MissingPackageError


def recognized(head: bytes) -> bool:
    """Whether a file that begins so is of the format: the length of its header, and a JSON object.

    Example:
        >>> recognized(b'\\x10' + bytes(7) + b'{"weight":')
        True
    """
    return head[8:9] == b"{" and int.from_bytes(head[:8], "little") < 2**32


def load(path: Path, map_location: Any = "cpu") -> dict[str, Any]:
    """The file's tensors as ``state_dict``, its metadata as ``meta``.

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

    try:
        with safe_open(path, framework="pt", device="cpu") as file:
            state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  (no mapping)
            texts = file.metadata() or {}
    except SafetensorError as error:
        raise CheckpointError(f"{path} cannot be read: {error}: copy or download it again") from error
    if isinstance(map_location, str | torch.device):
        state = {name: tensor.to(map_location) for name, tensor in state.items()}
    return {"meta": {key: _value(text) for key, text in texts.items() if key != "format"}, "state_dict": state}


def _value(text: str) -> Any:
    """What ``mmdist export`` wrote: text as it is, all else as JSON."""
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return text
