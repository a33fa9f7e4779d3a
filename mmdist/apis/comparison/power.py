"""How many seeds show which difference: ``python -m mmdist.apis.comparison.power``."""

from __future__ import annotations

from collections.abc import Sequence

from mmdist.apis.comparison.statistics import detectable
from mmdist.apis.comparison.table_layout import Table, markdown_table

SEEDS = (2, 3, 4, 5, 6, 8, 10, 15, 20, 30)
DEVIATIONS = (0.2, 0.5, 1.0, 2.0)  # of the paired differences, in points


def power_table(seeds: Sequence[int] = SEEDS, deviations: Sequence[float] = DEVIATIONS) -> Table:
    """The smallest true difference that is shown in four of five comparisons of two arms.

    Args:
        seeds (Sequence[int]): The rows.
        deviations (Sequence[float]): The columns: standard deviations of the paired differences.

    Returns:
        Table: In the unit of the deviations.

    Example:
        >>> print(markdown_table(power_table([5], [1.0])))
        | seeds | deviation 1 |
        |---|--:|
        | 5 | 1.68 |
    """
    head = ("seeds", *(f"deviation {deviation:g}" for deviation in deviations))
    rows = [(str(count), *(f"{detectable(deviation, count):.2f}" for deviation in deviations)) for count in seeds]
    return Table(head, tuple(rows))


if __name__ == "__main__":
    print(markdown_table(power_table()))
