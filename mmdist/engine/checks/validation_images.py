"""Unlabelled images that are validation images too: a student that has learnt from them looks better than it is."""

from __future__ import annotations

import hashlib
import itertools
import logging
import os
from collections.abc import Callable, Hashable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from mmengine.logging import print_log

from mmdist.datasets import UnlabeledDataset
from mmdist.engine.checks.datasets import leaves
from mmdist.errors import printable

CHUNK = 1 << 16  # bytes: the first tell most files of one size apart
SHOWN = 3
THREADS = 8  # reading waits for the disk


def warn_of_validation_images(training: Any, validation: Any) -> None:
    """One warning where unlabelled images have the bytes of validation images, whatever their names are.

    Args:
        training (Any): The training dataset, or a wrapper.
        validation (Any): The validation dataset, or a wrapper.
    """
    parts = leaves(training, "train_dataloader.dataset")
    unlabeled = [(leaf, key) for leaf, key in parts if isinstance(leaf, UnlabeledDataset)]
    if not unlabeled:
        return
    known = [path for leaf, _ in leaves(validation, "val_dataloader.dataset") for path in _paths(leaf)]
    for leaf, key in unlabeled:
        paths = _paths(leaf)
        found = same_content(paths, known)
        if found:
            names = ", ".join(printable(path) for path in found[:SHOWN])
            more = f" and {len(found) - SHOWN:,} more" if len(found) > SHOWN else ""
            text = f"{key}: {len(found):,} of the {len(paths):,} images without labels are validation images too, byte "
            text += f"for byte: {names}{more}; a score on images that were trained on is too good"
            print_log(text, "current", logging.WARNING)


def same_content(paths: Iterable[str], others: Iterable[str]) -> list[str]:
    """The files whose bytes are those of one of the others.

    Sizes are compared first; only of files of one size the first bytes, and of those whose first bytes are the same all
    are read. A file that cannot be read is like no other.

    Args:
        paths (Iterable[str]): Files.
        others (Iterable[str]): The files that they are compared with.

    Returns:
        list[str]: In the order of ``paths``.
    """
    kept, left = list(dict.fromkeys(paths)), list(dict.fromkeys(others))
    for look in (_size, _head, _content):
        kept, left = _alike(look, kept, left)
    return kept


def _alike(look: Callable[[str], Hashable], paths: list[str], others: list[str]) -> tuple[list[str], list[str]]:
    """Those of both that look like one of the other kind."""
    with ThreadPoolExecutor(THREADS) as pool:
        seen = [dict(zip(files, pool.map(look, files), strict=True)) for files in (paths, others)]
    shared = (set(seen[0].values()) & set(seen[1].values())) - {None}
    kept, left = ([path for path, value in found.items() if value in shared] for found in seen)
    return kept, left


def _size(path: str) -> int | None:
    try:
        return os.stat(path).st_size if os.path.isfile(path) else None
    except (OSError, ValueError):
        return None


def _head(path: str) -> Hashable:
    return _digest(path, 1)


def _content(path: str) -> Hashable:
    return _digest(path, None)


def _digest(path: str, chunks: int | None) -> tuple[int, str] | None:
    """Size and SHA-256 of a file, or of so many chunks of it."""
    digest = hashlib.sha256()
    try:
        with Path(path).open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            for chunk in itertools.islice(iter(lambda: file.read(CHUNK), b""), chunks):
                digest.update(chunk)
    except (OSError, ValueError):
        return None
    return size, digest.hexdigest()


def _paths(dataset: Any) -> list[str]:
    """The image files of a dataset; none where its images are not files."""
    infos = (dataset.get_data_info(index) for index in range(len(dataset)))
    return [info["img_path"] for info in infos if isinstance(info, dict) and isinstance(info.get("img_path"), str)]
