"""The exported file: what is in it, and how it gets to its place whole or not at all."""

from __future__ import annotations

import io
import json
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from mmdist.compat import _checkpoint_archive, _checkpoint_safetensors
from mmdist.compat.checkpoint import load_checkpoint_file
from mmdist.engine import atomic
from mmdist.errors import CheckpointError, ConfigError, MissingPackageError, nearest

PTH, SAFETENSORS = ".pth", ".safetensors"
SUFFIXES = (PTH, SAFETENSORS)


def check_out(out: Path, checkpoint: Path) -> None:
    """The file can be written where it is asked for.

    Args:
        out (Path): The file to write.
        checkpoint (Path): The file that is read.

    Raises:
        ConfigError: Another suffix, no such folder, or the checkpoint itself.
        MissingPackageError: A ``.safetensors`` file without the package for it.
    """
    if out.is_dir():
        raise ConfigError("OUT", str(out), "a file name", "this is a folder")
    if out.suffix not in SUFFIXES:
        close = nearest(out.suffix, SUFFIXES) if out.suffix else []
        hint = f"did you mean {str(out.with_suffix(close[0]))!r}?" if close else ""
        raise ConfigError("OUT", str(out), f"a file ending in {' or '.join(SUFFIXES)}", hint)
    folder = out.parent
    if not folder.is_dir():
        raise ConfigError("OUT", str(out), "a file in an existing folder", f"there is no folder {str(folder)!r}")
    if out.exists() and checkpoint.exists() and out.samefile(checkpoint):
        raise ConfigError("OUT", str(out), "another file than the checkpoint", "that one would be lost")
    if out.suffix == SAFETENSORS and find_spec("safetensors") is None:
        raise MissingPackageError("safetensors", f"OUT = {str(out)!r}")


def to_bytes(state: OrderedDict[str, Tensor], meta: Mapping[str, Any], suffix: str) -> bytes:
    """The content of the file.

    Args:
        state (OrderedDict[str, Tensor]): Plain names.
        meta (Mapping[str, Any]): Plain values; ``.safetensors`` keeps strings alone, so there they are JSON.
        suffix (str): ``.pth`` or ``.safetensors``.

    Returns:
        bytes: All of it, with the SHA-256 of the rest.
    """
    if suffix == SAFETENSORS:
        from safetensors.torch import save

        texts = {key: value if isinstance(value, str) else json.dumps(value) for key, value in meta.items()}
        # The format knows no two names for one tensor.
        copies = {name: value.detach().clone().contiguous() for name, value in state.items()}
        try:
            content = save(copies, metadata={"format": "pt", **texts})
        except (KeyError, ValueError, RuntimeError) as error:
            raise CheckpointError(f"safetensors has no place for these weights: {error}; write a {PTH} file") from error
        return _checkpoint_safetensors.stamp(content)
    kept = OrderedDict((name, _own_storage(value.detach())) for name, value in state.items())
    kept._metadata = getattr(state, "_metadata", OrderedDict())
    buffer = io.BytesIO()
    torch.save({"meta": dict(meta), "state_dict": kept}, buffer)
    _checkpoint_archive.stamp(buffer)
    return buffer.getvalue()


def read_back(path: Path) -> Mapping[str, Tensor]:
    """The weights in a file that :func:`to_bytes` made."""
    return load_checkpoint_file(path)["state_dict"]


@contextmanager
def replacing(out: Path, content: bytes) -> Iterator[Path]:
    """Write beside ``out``, and put the new file in its place when the block ends without an error.

    Args:
        out (Path): The file; what it was before stays until the new one is whole and on the disk.
        content (bytes): What goes in.

    Yields:
        Path: The new file under its temporary name.

    Raises:
        CheckpointError: It cannot be written.
    """
    with atomic.replacing(out.resolve()) as temporary:  # a link stays a link
        temporary.write_bytes(content)
        yield temporary


def plain(value: Any) -> Any:
    """A value out of a checkpoint's ``meta`` as builtin types, which every loader reads.

    Example:
        >>> plain({'palette': torch.zeros(1, 3, dtype=torch.uint8)})
        {'palette': [[0, 0, 0]]}
    """
    if isinstance(value, Mapping):
        return {str(key): plain(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return (tuple if isinstance(value, tuple) else list)(plain(entry) for entry in value)
    if hasattr(value, "tolist"):  # of numpy or torch
        return value.tolist()
    if isinstance(value, str | int | float | bool | None):
        return value
    return str(value) if isinstance(value, torch.dtype | torch.device) else type(value).__name__


def _own_storage(value: Tensor) -> Tensor:
    # A view would take along everything that it is a view of.
    return value.clone() if value.untyped_storage().nbytes() > value.numel() * value.element_size() else value
