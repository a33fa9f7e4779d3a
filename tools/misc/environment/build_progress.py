"""How far a build is and how long it will take, from what ninja writes."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping

STEP = re.compile(r"\s*\[(\d+)/(\d+)\]")
PAUSE = 15.0  # seconds between two reports


def finishing_times(costs: Mapping[str, float], jobs: int) -> list[float]:
    """When each of these would be finished, if ``jobs`` at a time are begun in this order.

    Example:
        >>> finishing_times({'a': 5.0, 'b': 3.0, 'c': 1.0}, jobs=2)
        [3.0, 4.0, 5.0]
    """
    free = [0.0] * max(1, jobs)
    finished = []
    for cost in costs.values():
        worker = free.index(min(free))
        free[worker] += cost
        finished.append(free[worker])
    return sorted(finished)


class TimeLeft:
    """Shows ``40% (35 s left)`` now and then; to be called with each line of the build, and with None as time passes.

    Args:
        write: Shows progress.
        jobs: How many compilers run at a time.
        costs: Seconds of each source, about; without them all take the same.
        clock: Seconds, from any beginning.
    """

    def __init__(
        self,
        write: Callable[[str], None],
        jobs: int,
        costs: Mapping[str, float] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.write, self.jobs, self.clock = write, jobs, clock
        self.expected = finishing_times(costs, jobs) if costs else []
        self.begun = self.shown = clock()
        self.slowness = 1.0  # of this machine, beside the one that the costs are of
        self.compiled = 0
        self.total = 0.0
        self.has_failed = False

    def __call__(self, line: str | None) -> None:
        now = self.clock()
        found = STEP.match(line) if line is not None else None
        if line is not None and line.startswith("FAILED"):
            self.has_failed, self.total = True, 0.0
        elif found is not None and not self.has_failed:
            self._learn(int(found[1]), int(found[2]), now - self.begun)
        if self.total:
            self._expect_next(now - self.begun)
        if self.total and now - self.shown >= PAUSE:
            self.shown = now
            left = max(self.total - (now - self.begun), 1.0)
            percent = min(99, int(100 * (now - self.begun) / (now - self.begun + left)))
            self.write(f" {percent}% ({left:.0f} s left)")
        elif line is not None and "building 'mmcv._ext'" in line:
            self._begin(now)

    def _begin(self, now: float) -> None:
        """The compilers start now: what pip did before does not count."""
        self.begun = now
        self.total = self.expected[-1] if self.expected else 0.0

    def _learn(self, count: int, total: int, elapsed: float) -> None:
        if not self.expected or total < len(self.expected):
            self.total = elapsed * total / count
            return
        self.compiled = min(count, len(self.expected))
        self.slowness = elapsed / self.expected[self.compiled - 1]
        self.total = self.slowness * self.expected[-1]

    def _expect_next(self, elapsed: float) -> None:
        """A source that should be done by now and is not: the machine is slower than that."""
        if self.compiled < len(self.expected):
            self.slowness = max(self.slowness, elapsed / self.expected[self.compiled])
            self.total = self.slowness * self.expected[-1]
