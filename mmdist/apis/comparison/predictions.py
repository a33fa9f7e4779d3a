"""What the three models say about some validation images: one file, written by :mod:`predict`, read for the figures."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

Record = dict[str, np.ndarray]


def save(path: Path, meta: dict[str, Any], records: list[Record]) -> None:
    """Write the file.

    Args:
        path (Path): Ending in ``.npz``.
        meta (dict): Names and colours of the classes; JSON.
        records (list[Record]): One an image: ``image`` (H, W, 3) uint8, and for ``truth`` and each model a label map
            (H, W), boxes (K, 6) with corners, label and score, or a label ().
    """
    arrays = {f"{index}/{name}": value for index, record in enumerate(records) for name, value in record.items()}
    np.savez_compressed(path, meta=np.array(json.dumps(meta)), **arrays)


def load(path: Path) -> tuple[dict[str, Any], list[Record]]:
    """Read the file; see :func:`save`."""
    with np.load(path, allow_pickle=False) as archive:
        meta = json.loads(str(archive["meta"]))
        records: dict[int, Record] = {}
        for key in archive.files:
            if key != "meta":
                index, _, name = key.partition("/")
                records.setdefault(int(index), {})[name] = archive[key]
    return meta, [records[index] for index in sorted(records)]
