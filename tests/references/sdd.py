"""SDD written out in plain Python: pooling to regions, and the weighted mean over them."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

Grid = list[list[float]]


def adaptive_average(grid: Grid, size: int) -> Grid:
    """Adaptive average pooling of one channel: cell i covers floor(i H / m) up to ceil((i + 1) H / m)."""

    def span(index: int, length: int) -> range:
        return range(index * length // size, -(-(index + 1) * length // size))

    rows, columns = len(grid), len(grid[0])
    pooled = []
    for i in range(size):
        line = []
        for j in range(size):
            cell = [grid[r][c] for r in span(i, rows) for c in span(j, columns)]
            line.append(math.fsum(cell) / len(cell))
        pooled.append(line)
    return pooled


def regions(grid: Grid, scales: Sequence[int], base: int | None) -> list[float]:
    """The regions of one channel, grid by grid; ``base``: the grid that is pooled first, None for none."""
    grid = grid if base is None else adaptive_average(grid, base)
    return [value for scale in scales for line in adaptive_average(grid, scale) for value in line]


def argmax(row: Sequence[float]) -> int:
    """The first of the largest."""
    return max(range(len(row)), key=lambda c: row[c])


def sdd(
    students: list[list[list[float]]],
    teachers: list[list[list[float]]],
    targets: list[list[int]],
    divergence: Callable[[list[float], list[float], int], float],
    complementary: float = 2.0,
    split: str = "correctness",
    mask: list[list[bool]] | None = None,
) -> float:
    """Sum of weight x divergence over pictures and regions, by their number; [picture][region][class]."""
    terms = []
    for n, (student, teacher, target) in enumerate(zip(students, teachers, targets, strict=True)):
        for r, (s, t, y) in enumerate(zip(student, teacher, target, strict=True)):
            if mask is not None and not mask[n][r]:
                continue
            if split == "correctness":
                differs = (argmax(t) == y) != (argmax(teacher[0]) == target[0])
            else:
                differs = argmax(t) != argmax(teacher[0])
            terms.append((complementary if differs else 1.0) * divergence(s, t, y))
    return math.fsum(terms) / len(terms)
