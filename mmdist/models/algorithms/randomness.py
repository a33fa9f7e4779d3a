"""What is built beside the student must not change what the student draws."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch


@contextmanager
def isolated_randomness() -> Iterator[None]:
    """Random numbers drawn inside are not missed outside: python's, numpy's and torch's generators come back.

    With the same seed the student then starts from the weights, and sees the pictures, of its plain training.

    Example:
        >>> import torch
        >>> state = torch.get_rng_state()
        >>> with isolated_randomness():
        ...     _ = torch.rand(3)
        >>> bool((torch.get_rng_state() == state).all())
        True
    """
    python, numpy = random.getstate(), np.random.get_state()
    with torch.random.fork_rng():
        try:
            yield
        finally:
            random.setstate(python)
            np.random.set_state(numpy)
