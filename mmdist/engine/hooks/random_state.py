"""The states of the random generators, in a form that torch's safe loader reads."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import torch

from mmdist.engine.resumed.generators import check_generators


def capture() -> dict[str, Any]:
    """The states of Python's, numpy's and torch's global generators, and of this process's GPU if it uses one.

    Returns:
        dict[str, Any]: Numbers, strings and tensors alone.

    Example:
        >>> state = capture()
        >>> before = random.random(), np.random.rand(), torch.rand(1)
        >>> restore(state)
        >>> (random.random(), np.random.rand(), torch.rand(1)) == before
        True
    """
    version, words, gauss = random.getstate()
    kind, keys, position, has_gauss, cached = np.random.get_state()
    state = dict(
        python=[version, torch.tensor(words, dtype=torch.int64), gauss],
        numpy=[str(kind), torch.from_numpy(keys.astype(np.int64)), int(position), int(has_gauss), float(cached)],
        torch=torch.get_rng_state(),
    )
    if torch.cuda.is_available() and torch.cuda.is_initialized():
        state["cuda"] = torch.cuda.get_rng_state()
    return state


def restore(state: dict[str, Any]) -> None:
    """Put the generators back into a captured state.

    Args:
        state (dict[str, Any]): Of :func:`capture`; its tensors may be on any device.

    Raises:
        CheckpointError: It is none, as a file that was changed may have it. All generators are as they were.
    """
    check_generators("random state", state)
    version, words, gauss = state["python"]
    random.setstate((version, tuple(words.tolist()), gauss))
    kind, keys, position, has_gauss, cached = state["numpy"]
    np.random.set_state((kind, keys.cpu().numpy().astype(np.uint32), position, has_gauss, cached))
    torch.set_rng_state(state["torch"].cpu())
    if "cuda" in state and torch.cuda.is_available():
        torch.cuda.set_rng_state(state["cuda"].cpu())


def seed_all(*parts: int) -> None:
    """Seed Python's, numpy's and torch's generators with a mixture of numbers.

    Args:
        *parts (int): Not negative; any difference in them gives unrelated streams.
    """
    low, high = (int(word) for word in np.random.SeedSequence(parts).generate_state(2))
    random.seed(low << 32 | high)
    np.random.seed(low)
    torch.manual_seed(low << 31 | high >> 1)
