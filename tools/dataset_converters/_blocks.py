"""Blocks of consecutive frames for different uses, with frames left out between them.

Neighbouring frames of a video are near copies of each other. Drawn one by one,
a frame "without label" would lie beside one with a label, or beside one that
the teacher was trained on.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence

from mmdist.errors import ConfigError

GAP = 10
FRAME = re.compile(r"(.+)_\D*(\d+)")


def videos(names: Sequence[str], where: str) -> list[list[str]]:
    """Frames by video, each video in the order of its frames' numbers.

    Args:
        names (Sequence[str]): Such as ``0001TP_006690`` and ``Seq05VD_f00390``: video and number.
        where (str): The folder that they come from.

    Returns:
        list[list[str]]: One list a video.

    Raises:
        ConfigError: A name without a number.

    Example:
        >>> videos(["b_f2", "a_30", "a_4"], "train")
        [['a_4', 'a_30'], ['b_f2']]
    """
    found: dict[str, list[tuple[int, str]]] = {}
    for name in sorted(names):
        match = FRAME.fullmatch(name)
        if not match:
            raise ConfigError(where, name, "a frame's name that ends in its video and number, such as '0001TP_006690'")
        found.setdefault(match[1], []).append((int(match[2]), name))
    return [[name for _, name in sorted(frames)] for frames in found.values()]


def take(
    runs: Sequence[Sequence[str]], count: int, seed: int, use: str, *, at_end: bool = False, gap: int = GAP
) -> tuple[list[str], list[list[str]]]:
    """One block out of every run of frames, as long as the run's share of all frames.

    Args:
        runs (Sequence[Sequence[str]]): Frames that follow each other.
        count (int): How many frames are taken in all.
        seed (int): Draws where in its run each block lies.
        use (str): What they are for: of one seed, blocks for different uses are drawn independently.
        at_end (bool): A block lies at the start or at the end of its run, so that what is left stays in one piece and
            fewer frames are left out. Defaults to False: anywhere.
        gap (int): How many frames are left out on either side of a block. Defaults to 10.

    Returns:
        tuple[list[str], list[list[str]]]: The frames of the blocks, and the runs that are left.

    Example:
        >>> take([["a_1", "a_2", "a_3", "a_4"]], 1, seed=0, use="labeled", gap=1)
        (['a_4'], [['a_1', 'a_2']])
    """
    taken: list[str] = []
    left: list[list[str]] = []
    for run, length in zip(runs, _shares([len(run) for run in runs], count), strict=True):
        if not length:
            left.append(list(run))
            continue
        draw = hashlib.sha256(f"{seed}\0{use}\0{run[0]}".encode()).digest()
        starts = (0, len(run) - length) if at_end else range(len(run) - length + 1)
        start = starts[int.from_bytes(draw[:8], "big") % len(starts)]
        taken += run[start : start + length]
        left += [list(rest) for rest in (run[: max(start - gap, 0)], run[start + length + gap :]) if rest]
    return taken, left


def _shares(lengths: Sequence[int], count: int) -> list[int]:
    """``count`` in parts that are proportional to the lengths, by the largest remainders.

    Example:
        >>> _shares([62, 101, 204], 20)
        [3, 6, 11]
    """
    total = sum(lengths)
    shares = [count * length // total for length in lengths]
    by_remainder = sorted(range(len(lengths)), key=lambda index: -(count * lengths[index] % total))
    for index in by_remainder[: count - sum(shares)]:
        shares[index] += 1
    return shares
