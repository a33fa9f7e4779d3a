"""Checkpoints that mmengine wrote are refused by torch's safe loader.

Reason: since torch 2.6 ``torch.load`` reads tensors and plain values alone
(``weights_only=True``), but mmengine saves its log histories as well: numpy
arrays inside a ``HistoryBuffer``. ``resume`` and ``load_from`` then fail. The
usual way out, ``weights_only=False``, lets a hostile file run code. The loader
here stays with ``weights_only=True`` and allows what mmengine writes, no more.
A file that needs more is refused, unless the user trusts that file by name.
Before torch reads a file, its checksums are compared and its content is looked
through: torch alone reads past damage, and beyond the end of an array.

Window: torch >= 2.6. Registered through mmengine's public
``CheckpointLoader.register_scheme`` once ``mmengine.runner`` is imported.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mmdist.compat import _checkpoint_safetensors, versions
from mmdist.compat._checkpoint_archive import read_records
from mmdist.errors import CheckpointError, nearest, printable

NUMBER = 4
NAME = "safe checkpoint loading"
REASON = "resuming and loading fail: weights_only=True refuses mmengine's log histories"
WINDOW = "torch >= 2.6"
WHEN = "mmengine.runner"

TRUST_VARIABLE = "MMDIST_TRUST_CHECKPOINT"

_registered_with: Any = None


def needed() -> bool:
    """Whether mmengine's own loaders fail beside the installed torch."""
    return versions.at_least(versions.installed("torch"), "2.6") and (
        versions.installed("mmengine", "mmengine-lite", "onedl-mmengine") is not None
    )


def active() -> bool:
    """Whether mmengine uses the loaders of this module."""
    return _registered_with is not None


def apply() -> None:
    """Register the loaders with mmengine, if ``mmengine.runner`` is imported; call again after importing it."""
    global _registered_with
    loader = getattr(sys.modules.get("mmengine.runner.checkpoint"), "CheckpointLoader", None)
    if loader is None or loader is _registered_with:
        return
    from mmdist.compat import _checkpoint_urls

    _checkpoint_urls.register(loader)
    _registered_with = loader


def load_checkpoint_file(path: str | os.PathLike[str], map_location: Any = "cpu") -> dict[str, Any]:
    """Load a checkpoint without running anything that is in it.

    Args:
        path (str | os.PathLike): The file, of ``torch.save`` or of ``safetensors``. It is loaded without
            restriction if the environment variable ``MMDIST_TRUST_CHECKPOINT`` names it (several files: separated
            like ``PATH``); a hostile file can then do whatever the user can.
        map_location (Any): Where the tensors go, as for :func:`torch.load`; None: where they were.

    Returns:
        dict[str, Any]: The checkpoint.

    Raises:
        CheckpointError: the file is missing, empty, damaged, no checkpoint, or holds objects that could run code.
        MissingPackageError: a file of ``safetensors`` without that package.

    Example:
        >>> import tempfile, torch
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     torch.save({'state_dict': {'weight': torch.ones(2)}}, f'{folder}/last.pth')
        ...     load_checkpoint_file(f'{folder}/last.pth')
        {'state_dict': {'weight': tensor([1., 1.])}}
    """
    import torch

    from mmdist.compat import _checkpoint_inspect as inspect
    from mmdist.compat._checkpoint_globals import allow_list

    path = Path(path).expanduser()
    check_file(path)
    check_content(path)
    if map_location is None and not torch.cuda.is_available():
        map_location = "cpu"
    form = _form(path)
    if form == "safetensors":
        content = _checkpoint_safetensors.load(path, map_location)
    else:
        trusted = _is_trusted(path)
        try:
            if not trusted:
                (inspect.inspect_archive if form == "zip" else inspect.inspect_legacy)(path)
            with allow_list():
                content = torch.load(path, map_location=map_location, weights_only=not trusted)
        except CheckpointError:
            raise
        # A damaged file can fail in any way, deep inside the unpickler.
        except Exception as error:
            raise CheckpointError(_explain(path, str(error) or type(error).__name__)) from error
    if not isinstance(content, dict):
        raise CheckpointError(f"{path} holds a {type(content).__name__}, expected a dictionary of weights")
    _check_weights(content, path)
    return content


def check_content(path: Path) -> str:
    """Compare a file with its checksums and with the hash in its name, once in a process.

    Args:
        path (Path): The file.

    Returns:
        str: What it was compared with: ``sha256``, ``crc32``, ``sha256 in its name``; empty: with nothing.

    Raises:
        CheckpointError: They differ.
    """
    from mmdist.compat._checkpoint_integrity import check_integrity

    return check_integrity(path, _form(path))


def load_from_local(filename: str, map_location: Any = None) -> dict[str, Any]:
    """The loader mmengine calls for a local file."""
    return load_checkpoint_file(filename, map_location)


def check_file(path: Path) -> None:
    """Refuse what cannot be a checkpoint, with a word about what it is instead.

    Args:
        path (Path): The file.

    Raises:
        CheckpointError: it is missing, a folder, unreadable, empty, cut short, or of another format.
    """
    if path.is_dir():
        raise CheckpointError(f"{path} is a folder, expected a checkpoint file")
    if not path.exists():
        raise CheckpointError(f"{path} does not exist{_neighbours(path)}")
    try:
        head = _head(path)
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read: {error.strerror}") from error
    if not head:
        raise CheckpointError(f"{path} is empty: copy or download it again")
    if head.startswith(b"PK"):
        entries = read_records(path)
        if "constants.pkl" in entries:
            raise CheckpointError(f"{path} is a TorchScript program, expected a checkpoint")
    elif not head.startswith(b"\x80") and not _checkpoint_safetensors.recognized(head):
        raise CheckpointError(f"{path} is not a PyTorch checkpoint{_other_format(head)}")


def _head(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(16)


def _form(path: Path) -> str:
    head = _head(path)
    return "zip" if head.startswith(b"PK") else "safetensors" if _checkpoint_safetensors.recognized(head) else "legacy"


def _check_weights(content: dict[Any, Any], path: Path) -> None:
    """Weights are dense tensors of real numbers, under names that can be shown."""
    import torch

    for part in ("state_dict", "ema_state_dict"):
        state = content.get(part, {} if part != "state_dict" else content)
        if not isinstance(state, Mapping):
            raise CheckpointError(f"{path}: its {part} is a {type(state).__name__}, expected a dictionary of weights")
        for name, value in state.items():
            if not isinstance(name, str):
                if state is content and not isinstance(value, torch.Tensor):  # no weights, but who knows what
                    continue
                raise CheckpointError(f"{path}: a weight has the name {printable(name)}, a {type(name).__name__}")
            if printable(name, len(name)) != name:
                raise CheckpointError(
                    f"{path}: the name of a weight has characters that cannot be shown: {printable(name)}"
                )
            if isinstance(value, torch.Tensor) and (kind := _odd_kind(value)):
                raise CheckpointError(
                    f"{path}: {printable(name)} is {kind}, and weights are dense tensors of real numbers"
                )


def _odd_kind(value: Any) -> str:
    import torch

    if value.layout is not torch.strided or value.is_nested:
        return "a sparse tensor"
    if value.is_meta:
        return "a tensor without values (device 'meta')"
    if value.is_quantized:
        return "a quantised tensor"
    return f"of type {value.dtype}" if value.is_complex() else ""


def _other_format(head: bytes) -> str:
    if head.lstrip().startswith(b"<"):
        return ": it looks like a web page, so the download went wrong"
    if head.startswith(b"version https://"):
        return ": it is a Git LFS pointer; run 'git lfs pull'"
    return f": it starts with {head[:8]!r}"


def _neighbours(path: Path) -> str:
    folder = path.parent
    if not folder.is_dir():
        return f": there is no folder {folder}"
    names = [entry.name for entry in folder.iterdir() if entry.is_file()]
    close = nearest(path.name, names) or sorted(name for name in names if name.endswith((".pth", ".pt")))[:3]
    return f"; in {folder} there is: {', '.join(close)}" if close else ""


def _is_trusted(path: Path) -> bool:
    named = [name for name in os.environ.get(TRUST_VARIABLE, "").split(os.pathsep) if name]
    return any(Path(name).expanduser().resolve() == path.resolve() for name in named)


def _explain(path: Path, message: str) -> str:
    refused = re.search(r"GLOBAL (.+?) (?:was not an allowed global|whose module)", message)
    if refused is None and "Unsupported operand" not in message and "weights_only" not in message:
        return f"{path} cannot be read: {message.splitlines()[0]}"
    what = f"the object {refused.group(1)}" if refused else "pickled objects that torch's safe loader cannot read"
    return (
        f"{path} was not loaded: it holds {what}, and loading that could run code. If you trust whoever made the "
        f"file, name it: {TRUST_VARIABLE}={path} (a hostile file can then do whatever you can)"
    )
