"""What is built and run beside the student must not change what the student draws."""

from __future__ import annotations

import random
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from mmengine.logging import MessageHub
from torch import Tensor


@contextmanager
def isolated_randomness(*stream: int, device: torch.device | None = None) -> Iterator[None]:
    """Random numbers drawn inside are not missed outside: python's, numpy's and torch's generators come back.

    With the same seed the student then starts from the weights, and sees the images, of its plain training.

    Args:
        *stream (int): Inside, the generators are seeded anew, from the state that they have and these numbers. Without
            any, what is drawn inside is what the student will draw next.
        device (torch.device, optional): The one device whose generator is used beside the CPU's. Defaults to all GPUs.

    Example:
        >>> import torch
        >>> state = torch.get_rng_state()
        >>> with isolated_randomness():
        ...     _ = torch.rand(3)
        >>> bool((torch.get_rng_state() == state).all())
        True
    """
    python, numpy, cpu = random.getstate(), np.random.get_state(), torch.get_rng_state()
    gpus = {generator: generator.get_state() for generator in _gpu_generators(device)}
    if stream:
        seed = _mixed(cpu, stream)
        random.seed(seed)
        np.random.seed(seed)
        for generator in (torch.default_generator, *gpus):  # torch.manual_seed would reach for every kind of device
            generator.manual_seed(seed)
    try:
        yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)
        torch.set_rng_state(cpu)
        for generator, state in gpus.items():
            generator.set_state(state)


def iteration() -> int | None:
    """The number of the present iteration of the run; None without a runner."""
    return MessageHub.get_current_instance().get_info("iter")


def _gpu_generators(device: torch.device | None) -> list[torch.Generator]:
    if device is not None and device.type != "cuda":
        return []
    if device is None:
        if not torch.cuda.is_available():
            return []
        torch.cuda.init()  # a seed that was given earlier is set only now
        return list(torch.cuda.default_generators)
    return [torch.cuda.default_generators[torch.cuda.current_device() if device.index is None else device.index]]


def _mixed(state: Tensor, stream: tuple[int, ...]) -> int:
    """32 bits from the state of torch's generator, which a resumed run restores, and the numbers of a stream."""
    return zlib.crc32(struct.pack(f"<{len(stream)}q", *stream), zlib.crc32(memoryview(state.numpy())))
