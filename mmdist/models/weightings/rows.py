"""In which order a student's loss takes the class scores that its head returns: found by value, and kept."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from mmengine.model import BaseModel
from torch import Tensor

from mmdist.errors import ConfigError
from mmdist.models.recorders.sources import find_method
from mmdist.models.recorders.tap import Tap
from mmdist.models.weightings.calls import LossCall
from mmdist.models.weightings.targets import PIXELS, Target

Levels = list[Tensor]
Order = Callable[[Levels], Tensor]  # level by level (N, P, C), to rows (R, C)


class Rows:
    """The order of the rows of every loss call, which the teacher's answer has to be brought into.

    MMDetection's heads call their losses level by level (RetinaNet), once for all levels (FCOS) or once for all
    images (PAA). Which it is shows in the first iteration: one order of the scores that the student's head has just
    returned equals what its loss is given. Later iterations look up what was found.
    """

    def __init__(self) -> None:
        self._known: dict[tuple[str, int], Order] = {}
        self._fired: set[str] = set()  # losses that have been called
        self._calls: Counter[str] = Counter()  # of this iteration
        self._own: dict[str, Any] = {}  # of this iteration: what each head has returned last

    @contextmanager
    def heard(self, student: BaseModel, targets: Sequence[Target]) -> Iterator[None]:
        """Inside, the student's losses are called once; listens to its heads until all orders are known.

        Raises:
            ConfigError: A loss that is never called, so that nothing would be weighed.
        """
        self._calls, self._own = Counter(), {}
        unknown = [t for t in targets if t.kind != PIXELS and not any(path == t.path for path, _ in self._known)]
        heads = {target.head for target in unknown}
        taps = [(head, self._listener(head)) for head in heads]
        opened = [(Tap.open(*find_method(student, f"{head}.forward"), listen), listen) for head, listen in taps]
        try:
            yield
        finally:
            for tap, listen in opened:
                tap.close(listen)
            self._own = {}
        for target in targets:
            if target.path not in self._fired:
                raise ConfigError(
                    f"model.architecture.{target.path}",
                    "never called",
                    f"a loss that {target.head} calls, so that it can be weighed",
                    "RDD would change nothing; model.weighting.losses names the losses to weigh",
                )

    def order(self, target: Target, call: LossCall) -> Order | None:
        """The order of the rows of the present call of a loss; each call asks once.

        Args:
            target (Target): The loss.
            call (LossCall): The call.

        Returns:
            Order | None: None where several orders would do for these scores, but not for others: the head answers
            the same everywhere, and so nothing is to be weighed.

        Raises:
            ConfigError: The loss compares something else than the class scores that the head returns.
        """
        number = self._calls[target.path]
        self._calls[target.path] += 1
        self._fired.add(target.path)
        if target.kind == PIXELS:
            return None
        if (target.path, number) in self._known:
            return self._known[target.path, number]
        own, logits = self._own.get(target.head), call.logits.detach()
        found = [] if own is None else _fitting(own, logits, number)
        if not found:
            raise ConfigError(
                f"model.architecture.{target.path}",
                f"compares {tuple(logits.shape)} that {target.head} does not return",
                "a loss of all class scores of its head, in the order of the levels or of the images",
                "the teacher's answers would meet other positions; model.weighting.losses names the losses to weigh",
            )
        levels = as_levels(own, logits.shape[1])
        if len({id(order) for order in found}) == 1:
            self._known[target.path, number] = found[0]
            return found[0]
        # Of a single image, images and levels are in the same order; the next batch may have two.
        return found[0] if len(levels[0]) == 1 else None

    def _listener(self, head: str) -> Callable[[tuple, dict, Any], None]:
        def listen(args: tuple, kwargs: dict, output: Any) -> None:
            # Given the labels too, as ArcFace's, it answers otherwise than the teacher, which has none.
            self._own[head] = output if len(args) + len(kwargs) == 1 else None

        return listen


def as_levels(answer: Any, classes: int) -> Levels | None:
    """What a detector's or classifier's head returns, level by level (N, P, C); None: no class scores.

    Example:
        >>> [level.shape for level in as_levels(([torch.zeros(2, 6, 4, 4)], []), 3)]
        [torch.Size([2, 32, 3])]
    """
    if isinstance(answer, Tensor) and answer.ndim == 2:
        return [answer[:, None]] if answer.shape[1] == classes else None
    levels = answer[0] if isinstance(answer, tuple) and answer else answer
    if isinstance(levels, Tensor):
        levels = [levels]
    if not isinstance(levels, list | tuple) or not levels:
        return None
    if any(not isinstance(level, Tensor) or level.ndim < 3 or level.shape[1] % classes for level in levels):
        return None
    return [level.detach().movedim(1, -1).reshape(len(level), -1, classes) for level in levels]


def _fitting(own: Any, logits: Tensor, number: int) -> list[Order]:
    """The orders in which the head's own scores are what the loss is given; the likeliest first."""
    levels = as_levels(own, logits.shape[1]) if logits.ndim == 2 else None
    if levels is None:
        return []
    given = _comparable(logits)
    places = sorted(range(len(levels)), key=lambda place: place != number)
    single = [partial(of_level, place) for place in places]
    orders = [*single, by_level, by_image] if len(levels) > 1 else single
    found = []
    for order in orders:
        rows = order(levels)
        if rows.shape == given.shape and torch.equal(_comparable(rows.to(logits.dtype)), given):
            found.append(order)
    # The call of this number is that of this level, where the order fits; levels of equal scores fit it too.
    return found[:1] if found and found[0] is single[0] and len(levels) > 1 else found


def _comparable(rows: Tensor) -> Tensor:
    return torch.nan_to_num(rows.detach())


def of_level(place: int, levels: Levels) -> Tensor:
    """The rows of one level."""
    return levels[place].flatten(0, 1)


def by_level(levels: Levels) -> Tensor:
    """Level after level, and in each one image after the other."""
    return torch.cat([level.flatten(0, 1) for level in levels])


def by_image(levels: Levels) -> Tensor:
    """Image after image, and of each one level after the other."""
    return torch.cat(levels, 1).flatten(0, 1)
