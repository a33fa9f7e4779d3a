"""The order in which images of one kind are drawn: groups of a fixed size, without end, found by their number alone."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

KEPT = 2  # passes whose order is kept: a group may begin in one and end in the next


class Order:
    """Passes over images, each in an order of its own, cut into groups.

    Args:
        count (int): Images.
        size (int): Images of a group.
        stream (int): Makes orders of the same seed differ.
        wide (Sequence[bool], optional): Of each image, whether it is wide; a group then has images of one kind.

    Example:
        >>> order = Order(count=3, size=2, stream=0)
        >>> [order.group(None, number) for number in range(3)]
        [[0, 1], [2, 0], [1, 2]]
        >>> [order.in_pass(None, 0, number) for number in range(2)]
        [[0, 1], [2, 0]]
    """

    def __init__(self, count: int, size: int, stream: int, wide: Sequence[bool] | None = None) -> None:
        self.count, self.size, self.stream = count, size, stream
        self.wide = wide
        self._kept: dict[tuple[int | None, int], np.ndarray] = {}

    def group(self, seed: int | None, number: int) -> list[int]:
        """A group of the endless order.

        Args:
            seed (int, optional): None: each pass is in the images' own order.
            number (int): Which group, from 0.

        Returns:
            list[int]: ``size`` images. Without ``wide`` a group that is not full at the end of a pass takes the first
            of the next; with it, every pass has groups of its own, of which the last is filled up.
        """
        if self.wide is not None:
            return self.in_pass(seed, *divmod(number, len(self._pass(seed, 0)) // self.size))
        positions = (divmod(number * self.size + index, self.count) for index in range(self.size))
        return [int(self._pass(seed, pass_)[index]) for pass_, index in positions]

    def in_pass(self, seed: int | None, pass_: int, number: int) -> list[int]:
        """A group of one pass, which begins anew where it ends.

        Args:
            seed (int, optional): As in :meth:`group`.
            pass_ (int): Which pass, from 0.
            number (int): Which group, from 0.

        Returns:
            list[int]: ``size`` images.
        """
        images = self._pass(seed, pass_)
        return [int(images[(number * self.size + index) % len(images)]) for index in range(self.size)]

    def _pass(self, seed: int | None, pass_: int) -> np.ndarray:
        key = (seed, pass_)
        if key not in self._kept:
            while len(self._kept) >= KEPT:
                self._kept.pop(next(iter(self._kept)))
            self._kept[key] = self._drawn(seed, pass_)
        return self._kept[key]

    def _drawn(self, seed: int | None, pass_: int) -> np.ndarray:
        images = np.arange(self.count)
        if seed is not None:
            images = np.random.default_rng((seed, self.stream, pass_)).permutation(self.count)
        return images if self.wide is None else self._grouped(images)

    def _grouped(self, images: np.ndarray) -> np.ndarray:
        """The images in groups of one kind; what is left of both comes last, filled up with the first."""
        groups: list[int] = []
        waiting: dict[bool, list[int]] = {False: [], True: []}
        for image in images:
            bucket = waiting[bool(self.wide[image])]  # type: ignore[index]
            bucket.append(int(image))
            if len(bucket) == self.size:
                groups += bucket
                bucket.clear()
        groups += waiting[False] + waiting[True]
        missing = -len(groups) % self.size
        return np.array(groups + groups[:missing])
