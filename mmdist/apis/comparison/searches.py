"""What was tried in a search, and what was taken."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mmdist.apis.comparison.cells import FINAL, SEARCH
from mmdist.apis.comparison.results import Row, Setting, usable


@dataclass(frozen=True)
class Candidate:
    """A learning rate, length and weight that were tried.

    Args:
        rate (float): Times the config's learning rate.
        length (int): In the unit of the setting.
        weight (float): Times the weights of what the teacher says.
        rows (tuple[Row, ...]): Its trainings, one a seed.
    """

    rate: float
    length: int
    weight: float
    rows: tuple[Row, ...]

    @property
    def usable(self) -> list[Row]:
        return usable(self.rows)

    @property
    def values(self) -> list[float]:
        return [row.metric for row in self.usable if row.metric is not None]

    @property
    def mean(self) -> float:
        return float(np.mean(self.values))


def candidates(rows: Sequence[Row], arm: str) -> list[Candidate]:
    """What was tried for an arm, by learning rate, length and weight.

    Args:
        rows (Sequence[Row]): All rows.
        arm (str): Its name.

    Example:
        >>> rows = [Row('search', 'kd', 100, 800, rate, 1.0, metric) for rate, metric in ((1.0, 70.0), (2.0, 71.0))]
        >>> [(candidate.rate, candidate.mean) for candidate in candidates(rows, 'kd')]
        [(1.0, 70.0), (2.0, 71.0)]
    """
    groups: dict[tuple[float, int, float], list[Row]] = {}
    for row in rows:
        if row.purpose == SEARCH and row.arm == arm:
            groups.setdefault((row.rate, row.length, row.weight), []).append(row)
    return [Candidate(*key, tuple(sorted(own, key=lambda row: row.seed))) for key, own in sorted(groups.items())]


def chosen(rows: Sequence[Row], arm: str, setting: Setting) -> Candidate | None:
    """The candidate that an arm's reported trainings use; the best one of an arm that has none, such as the teacher.

    Args:
        rows (Sequence[Row]): All rows.
        arm (str): Its name.
        setting (Setting): What was compared.

    Returns:
        Candidate, optional: None where every training of the search failed, or there was none.
    """
    there = [candidate for candidate in candidates(rows, arm) if candidate.values]
    used = {(row.rate, row.weight) for row in rows if row.purpose == FINAL and row.arm == arm}
    there = [candidate for candidate in there if (candidate.rate, candidate.weight) in used] or there
    sign = 1 if setting.metric.higher else -1
    # one that failed with a seed comes after those that did not; of equal ones that which the engine takes
    return max(there, key=lambda c: (len(c.values) == len(c.rows), sign * c.mean, -c.rows[0].cell.change), default=None)
