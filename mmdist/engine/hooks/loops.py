"""mmengine's train loops, started in the middle."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from mmengine.runner import EpochBasedTrainLoop, IterBasedTrainLoop

from mmdist.engine.hooks import random_state


class AdvancedIterator:
    """Stands for the iterator of an ``IterBasedTrainLoop`` while that skips what was trained on already.

    mmengine skips by loading batch after batch. Here the samplers have been advanced before, so nothing is loaded.

    Args:
        loop (IterBasedTrainLoop): Asks ``loop.iter`` times for a batch that it does not use.
        load (bool): Load those all the same, because the samplers could not be advanced.
        ready (Callable): Called before the first batch that is used; restores the random states.
    """

    def __init__(self, loop: IterBasedTrainLoop, *, load: bool, ready: Callable[[], None]) -> None:
        self._loop, self._load, self._ready = loop, load, ready
        self._iterator, self._left = loop.dataloader_iterator, loop.iter

    def __iter__(self) -> AdvancedIterator:
        return self

    def __next__(self) -> Any:
        if self._left:
            self._left -= 1
            return next(self._iterator) if self._load else None
        self._loop.dataloader_iterator = self._iterator
        self._ready()
        return next(self._iterator)


def restart_iterator(iterator: Any, pass_: int) -> None:
    """Let the iterator of an ``IterBasedTrainLoop`` begin anew, without a trace in the random states.

    Args:
        iterator (Any): ``loop.dataloader_iterator``.
        pass_ (int): The number of the pass over the data.
    """
    state = random_state.capture()
    loader = iterator._dataloader
    loader._iterator = None  # persistent workers: torch would use the old ones again
    iterator._iterator = None  # ends the workers of the old one before new ones start
    iterator._epoch = pass_
    iterator._iterator = iter(loader)
    random_state.restore(state)


def run_rest_of_epoch(loop: EpochBasedTrainLoop, done: int, ready: Callable[[], None]) -> None:
    """The epoch in which a run was interrupted.

    Args:
        loop (EpochBasedTrainLoop): The loop; later epochs are its own again.
        done (int): How many batches of the epoch were trained on; the dataloader's samplers skip them.
        ready (Callable): Called once the dataloader has drawn its random numbers; restores the random states.
    """
    del loop.run_epoch  # the instance's: this function
    runner = loop.runner
    runner.call_hook("before_train_epoch")
    runner.model.train()
    rest = iter(loop.dataloader)
    ready()
    for index, batch in enumerate(rest, start=done):
        loop.run_iter(index, batch)
    runner.call_hook("after_train_epoch")
    loop._epoch += 1
