"""The files that a config names: what a training depends on beside its config."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

from mmdist.engine import atomic
from mmdist.engine.config import load_config
from mmdist.errors import MMDistError

# Keys of models by their configs: what counts is the model, with all that the config is based on.
MODELS = ("teacher", "architecture", "cfg_path")


def named_files(config: Any) -> dict[str, str]:
    """Checksums of the files that a config names, by what it calls them.

    Weights, lists of images, annotations: a training of the same config and other files is another one. What is in a
    folder is not looked at, nor is what lies elsewhere than on a disk.

    Args:
        config (Any): A config as plain values.

    Returns:
        dict[str, str]: Only those that are there.

    Example:
        >>> import tempfile
        >>> with tempfile.NamedTemporaryFile() as file:
        ...     list(named_files(dict(a=[file.name], b='none'))) == [file.name]
        True
    """
    found: dict[str, str] = {}
    for key, text in _texts(config, ""):
        if text in found or not _may_be_a_path(text):
            continue
        if key in MODELS and ("::" in text or os.path.isfile(text)):
            found[text] = _of_model(text)
        elif checksum := file_sum(text):
            found[text] = checksum
    return found


def file_sum(path: str) -> str:
    """The checksum of a file; '' where there is none, as for an address."""
    if not os.path.isfile(path):
        return ""
    status = os.stat(path)
    return _of_file(os.path.abspath(path), status.st_mtime_ns, status.st_size)


def forget() -> None:
    """Read the models' configs anew, which are read once: a comparison begins."""
    _of_model.cache_clear()


def _texts(node: Any, key: str) -> Iterator[tuple[str, str]]:
    if isinstance(node, dict):
        for name, value in node.items():
            yield from _texts(value, str(name))
    elif isinstance(node, list | tuple):
        for value in node:
            yield from _texts(value, key)
    elif isinstance(node, str):
        yield key, node


def _may_be_a_path(text: str) -> bool:
    return 0 < len(text) < 4096 and "\0" not in text and "\n" not in text


@lru_cache(maxsize=256)
def _of_model(path: str) -> str:
    try:
        model = load_config(path, "model").get("model") or {}
    except MMDistError:  # which the training says in its own words
        return ""
    text = json.dumps(model, sort_keys=True, default=str)
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()


@lru_cache(maxsize=4096)
def _of_file(path: str, changed: int, size: int) -> str:
    """Read once as long as it stays as it is."""
    return atomic.file_hash(Path(path))
