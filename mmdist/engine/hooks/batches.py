"""A dataloader that can start in the middle of a pass, and workers whose random numbers depend on the batch alone."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from functools import partial
from typing import Any

from mmengine.dataset import InfiniteSampler
from torch.utils.data import DataLoader, IterableDataset, get_worker_info

from mmdist.engine.hooks import random_state


class Batch(list):
    """The indices of a batch, and what to seed with before it is loaded."""

    seed: tuple[int, ...]


class NumberedBatches:
    """Stands for a dataloader's batch sampler: skips what was trained on already and numbers the rest.

    Args:
        batches (Any): The batch sampler.
        seed (tuple[int, ...], optional): Where batches are loaded by workers: run's seed and rank.

    Example:
        >>> batches = NumberedBatches([[0, 1], [2, 3], [4, 5]])
        >>> batches.start_at(pass_=0, done=2)
        >>> list(batches), list(batches)
        ([[4, 5]], [[0, 1], [2, 3], [4, 5]])
    """

    def __init__(self, batches: Any, seed: tuple[int, ...] | None = None) -> None:
        self.batches, self.seed = batches, seed
        self._pass, self._done = 0, 0

    def __getattr__(self, name: str) -> Any:
        if name == "batches":  # not there yet while this is unpickled
            raise AttributeError(name)
        return getattr(self.batches, name)

    def __len__(self) -> int:
        return len(self.batches)

    def start_at(self, pass_: int, done: int) -> None:
        """What the next pass over the data is: its number, and how many of its batches are not needed."""
        self._pass, self._done = pass_, done

    def __iter__(self) -> Iterator[Any]:
        # Runs when the first batch is asked for: an iterator with workers calls `iter` twice and uses one of them.
        pass_, done = self._pass, self._done
        self.start_at(pass_ + 1, 0)
        for number, indices in enumerate(self.batches):
            if number < done:
                continue
            if self.seed is not None:
                indices = Batch(indices)
                indices.seed = (*self.seed, pass_, number)
            yield indices


def can_be_numbered(loader: Any) -> bool:
    """Whether the order of a dataloader's batches comes from a batch sampler."""
    return isinstance(loader, DataLoader) and not isinstance(loader.dataset, IterableDataset) and loader._auto_collation


def number_batches(loader: DataLoader, seed: int, rank: int) -> NumberedBatches:
    """Make a dataloader number its batches; to be called before an iterator over it is made.

    Args:
        loader (DataLoader): Changed in place.
        seed (int): The run's.
        rank (int): This process's.

    Returns:
        NumberedBatches: What stands for its batch sampler now.
    """
    if isinstance(loader.batch_sampler, NumberedBatches):
        return loader.batch_sampler
    numbered = NumberedBatches(loader.batch_sampler, (seed, rank) if loader.num_workers else None)
    vars(loader)["batch_sampler"] = numbered  # assigning it is refused after the dataloader is built
    if loader.num_workers:
        loader.worker_init_fn = partial(start_worker, loader.worker_init_fn)
    return numbered


def start_worker(init: Any, worker: int) -> None:
    """In a new worker: seed before every batch, and leave it to the main process to end at a signal."""
    if init is not None:
        init(worker)
    if hasattr(signal, "SIGUSR1"):
        signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    if hasattr(signal, "sigwaitinfo"):
        # slurm sends SIGTERM to every process of a job, but the main process still needs its data.
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
        threading.Thread(target=_end_with_parent, daemon=True).start()
    dataset = get_worker_info().dataset
    try:
        # torch's fetcher looks for this method on the instance; the worker's copy of the data set is its own.
        dataset.__getitems__ = partial(_load, dataset, getattr(dataset, "__getitems__", None))
    except AttributeError:
        return  # a list or the like, in which nothing is random


def _end_with_parent() -> None:
    """End this worker at a SIGTERM from the main process, which stops its workers so, and at no other."""
    while signal.sigwaitinfo({signal.SIGTERM}).si_pid != os.getppid():
        pass
    os._exit(0)


def _load(dataset: Any, load: Any, indices: list[Any]) -> list[Any]:
    if isinstance(indices, Batch):
        random_state.seed_all(*indices.seed)
    return load(indices) if load is not None else [dataset[index] for index in indices]


def sampler_of(loader: DataLoader) -> Any:
    """The sampler behind a dataloader's batches."""
    return getattr(loader.batch_sampler, "sampler", None) or loader.sampler


def rewind(loader: DataLoader) -> bool:
    """Undo what an iterator that is thrown away has taken from the samplers.

    Args:
        loader (DataLoader): One whose iterator has not given a batch yet, but may have fetched some ahead.

    Returns:
        bool: False if a sampler keeps an iterator of its own that cannot be started again.
    """
    if not loader.num_workers:  # nothing is fetched ahead
        return True
    batches = loader.batch_sampler
    for sampler in (batches, getattr(batches, "sampler", None)):
        if isinstance(sampler, InfiniteSampler):
            sampler.indices = sampler._indices_of_rank()
        elif hasattr(sampler, "_aspect_ratio_buckets"):  # mmdet's: half-filled batches
            sampler._aspect_ratio_buckets = [[] for _ in sampler._aspect_ratio_buckets]
        elif any(isinstance(value, Iterator) for value in _values(sampler)):
            return False
    return True


def _values(sampler: Any) -> Iterator[Any]:
    for value in getattr(sampler, "__dict__", {}).values():
        yield from value.values() if isinstance(value, dict) else (value,)
