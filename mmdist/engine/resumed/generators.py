"""States of random generators that a file brought: of the right kind, length and position."""

from __future__ import annotations

import math
import struct
from typing import Any

import torch
from torch import Tensor

from mmdist.engine.resumed.values import is_number, strided, unfit, whole
from mmdist.errors import CheckpointError

WORDS = 624  # of the Mersenne twister
CPU_STATE, CUDA_STATE = 5056, 16  # bytes
GENERATORS = {"python", "numpy", "torch"}


def check_generators(place: str, state: Any) -> None:
    """The states of one process; numpy and torch would read beyond their tables at a wrong position.

    Args:
        place (str): Where it stands in the checkpoint.
        state (Any): Of :func:`mmdist.engine.hooks.random_state.capture`.

    Raises:
        CheckpointError: A state is of another kind or length, has a position outside the generator's table, or is one
            that no generator can get into.
    """
    if not isinstance(state, dict) or not state.keys() >= GENERATORS or state.keys() - GENERATORS - {"cuda"}:
        raise unfit(place, state, "the states of the generators python, numpy and torch, and cuda")
    _check_python(f"{place}.python", state["python"])
    _check_numpy(f"{place}.numpy", state["numpy"])
    _check_torch(f"{place}.torch", state["torch"])
    if "cuda" in state:
        given = strided(f"{place}.cuda", state["cuda"], torch.uint8, (CUDA_STATE,))
        _, offset = struct.unpack("=Qq", bytes(given.tolist()))
        if offset < 0 or offset % 4:
            raise unfit(f"{place}.cuda: the offset", offset, "a multiple of 4")


def _check_python(place: str, state: Any) -> None:
    version, words, gauss = _fields(place, state, 3)
    whole(f"{place}.0", version, 3, 3)
    strided(f"{place}.1", words, torch.int64, (WORDS + 1,))
    _check_words(f"{place}.1", words[:-1])
    whole(f"{place}.1: the position", int(words[-1]), 0, WORDS)
    if gauss is not None:
        _check_finite(f"{place}.2", gauss)


def _check_numpy(place: str, state: Any) -> None:
    kind, words, position, has_gauss, cached = _fields(place, state, 5)
    if kind != "MT19937":
        raise unfit(f"{place}.0", kind, "'MT19937'")
    _check_words(f"{place}.1", strided(f"{place}.1", words, torch.int64, (WORDS,)))
    whole(f"{place}.2: the position", position, 0, WORDS)
    whole(f"{place}.3", has_gauss, 0, 1)
    _check_finite(f"{place}.4", cached)


def _check_torch(place: str, state: Any) -> None:
    size = torch.get_rng_state().numel()
    raw = strided(place, state, torch.uint8, (size,))
    if size != CPU_STATE:  # of a torch with another layout, which checks what it can
        return
    # seed, how many words are left, seeded, the next word; the table; three doubles and their flag; a float and its.
    data = bytes(raw.tolist())
    _, left, seeded, following = struct.unpack_from("=QiiQ", data)
    # torch looks at each of the two alone: together they must not lead out of the table.
    if seeded != 1 or not 1 <= left <= WORDS or following + left - 1 > WORDS:
        raise unfit(f"{place}: the position", following, f"one within {WORDS} words, with {left} left")
    _check_words(place, torch.tensor(struct.unpack_from(f"={WORDS}Q", data, 24), dtype=torch.float64))
    numbers = struct.unpack_from("=dddi4xf", data, 24 + 8 * WORDS)
    for number in (*numbers[:3], numbers[4]):
        _check_finite(f"{place}: a normal sample", number)
    if numbers[3] not in (0, 1) or data[CPU_STATE - 4] not in (0, 1):
        raise unfit(f"{place}: the flag of a normal sample", numbers[3], "0 or 1")


def _fields(place: str, state: Any, count: int) -> list[Any]:
    if not isinstance(state, list | tuple) or len(state) != count:
        raise unfit(place, state, f"a list of {count}")
    return list(state)


def _check_words(place: str, words: Tensor) -> None:
    if words.min() < 0 or words.max() >= 2**32:
        raise CheckpointError(f"{place}: expected words of 32 bits")
    # Of the first word the generator uses the highest bit alone. From zeros it never gets away, and drawing by
    # rejection then never ends.
    if not words[1:].any() and words[0] < 2**31:
        raise CheckpointError(f"{place}: expected the state of a generator, got zeros")


def _check_finite(place: str, value: Any) -> None:
    if not is_number(value) or math.isinf(value):
        raise unfit(place, value, "a finite number")
