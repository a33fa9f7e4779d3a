"""Few labels: a seed draws which images of a training set keep their labels, and lists say which they are.

Images are ordered by a hash of the seed and of their name. So the draw is the
same on every machine, and of one seed a smaller subset is a part of every
larger one.
"""

from __future__ import annotations

import argparse
import hashlib
from collections import Counter
from collections.abc import Hashable, Iterable, Sequence
from pathlib import PureWindowsPath
from typing import Any

from mmdist.errors import ConfigError


def subset_name(stem: str, count: int, seed: int, kind: str) -> str:
    """What the list of a subset is called, without suffix.

    Example:
        >>> subset_name("train", 150, 0, "labeled")
        'train_150_seed0_labeled'
    """
    return f"{stem}_{count}_seed{seed}_{kind}"


def subsets(labeled: int | Sequence[int] | None, subset_seed: int | Sequence[int] | None) -> list[tuple[int, int]]:
    """Every asked-for subset.

    Args:
        labeled (int | Sequence[int] | None): How many images keep their labels, one number or several; None: no subset.
        subset_seed (int | Sequence[int] | None): Draws them, one seed or several; None: seed 0.

    Returns:
        list[tuple[int, int]]: Number and seed of each.

    Raises:
        ConfigError: A number that cannot be, or a seed without a number.

    Example:
        >>> subsets([50, 150], None)
        [(50, 0), (150, 0)]
    """
    counts = _numbers("labeled", labeled, 1, "a number of images above 0")
    seeds = _numbers("subset_seed", subset_seed, 0, "a number from 0")
    if seeds and not counts:
        raise ConfigError("subset_seed", subset_seed, "nothing, without labeled", "labeled says how many are drawn")
    return [(count, seed) for seed in seeds or [0] for count in counts]


def _numbers(key: str, value: Any, least: int, allowed: str) -> list[int]:
    values = [] if value is None else list(value) if isinstance(value, list | tuple) else [value]
    for number in values:
        check_number(key, number, least, allowed)
    return list(dict.fromkeys(values))


def check_number(key: str, value: Any, least: int, allowed: str) -> None:
    """Refuse what is not a whole number from ``least`` on; the message says what is ``allowed``."""
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise ConfigError(key, value, allowed)


def draw(
    names: Sequence[str], count: int, seed: int, classes: Sequence[Hashable] | None = None, *, where: str = "train"
) -> list[int]:
    """Which images keep their labels.

    Args:
        names (Sequence[str]): (N,) names of the images, no two the same.
        count (int): How many are drawn.
        seed (int): Draws them.
        classes (Sequence[Hashable] | None): (N,) class of each, where it has one: as many images of every class then,
            give or take one. A class that has too few leaves its share to the others.
        where (str): What the set is called in a message.

    Returns:
        list[int]: Positions in ``names``, ascending.

    Raises:
        ConfigError: So many there are not, no image would be left without labels, or a class without an image.

    Example:
        >>> draw(["a", "b", "c", "d"], 2, seed=0, classes=[0, 0, 1, 1])
        [0, 3]
    """
    if count >= len(names):
        raise ConfigError("labeled", count, f"less than the {len(names)} images of {where}")
    order = sorted(range(len(names)), key=lambda index: _hash(seed, names[index]))
    if classes is not None:
        kinds = len(set(classes))
        if count < kinds:
            raise ConfigError("labeled", count, f"at least one image for each of the {kinds} classes of {where}")
        seen: Counter[Hashable] = Counter()
        turns = {}
        for index in order:
            turns[index] = seen[classes[index]]
            seen[classes[index]] += 1
        order.sort(key=turns.__getitem__)  # the first image of every class, then the second; within a turn as hashed
    return sorted(order[:count])


def _hash(seed: int, name: str) -> bytes:
    return hashlib.sha256(f"{seed}\0{name}".encode()).digest()


def check_names(names: Iterable[str], where: str) -> None:
    """Refuse names that lead out of the folder, that a list cannot hold, or that come twice.

    Args:
        names (Iterable[str]): Paths of images, relative to their folder.
        where (str): The file or folder that they come from.

    Raises:
        ConfigError: One of them is such a name.
    """
    seen = set()
    for name in names:
        path = PureWindowsPath(name)  # knows both slashes, and drives
        if path.anchor or ".." in path.parts:
            raise ConfigError(where, name, "images inside their folder")
        if not name or name != name.strip() or not name.isprintable():
            raise ConfigError(where, name, "names of printable characters, without a space at either end")
        if name in seen:
            raise ConfigError(where, name, "every image once")
        seen.add(name)


def add_arguments(parser: argparse.ArgumentParser, required: bool = False) -> None:
    """The options ``--labeled`` and ``--subset-seed``."""
    number: dict[str, Any] = {"type": int, "nargs": "+"}
    says = "list N training images that keep their labels, and the others"
    parser.add_argument("--labeled", metavar="N", required=required, help=says, **number)
    parser.add_argument("--subset-seed", metavar="S", help="draws those images (default: 0)", **number)
