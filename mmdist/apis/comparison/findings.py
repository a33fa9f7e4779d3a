"""The lines of a comparison with all that is needed to speak of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mmdist.apis.comparison.cells import PLAIN
from mmdist.apis.comparison.formatting import NumberFormat
from mmdist.apis.comparison.line_names import line_name, main_kind, pairs, plain_by_length, reference
from mmdist.apis.comparison.lines import Line, lines
from mmdist.apis.comparison.results import Row, Setting
from mmdist.apis.comparison.statistics import LEVEL, Difference, paired
from mmdist.apis.comparison.tables import number_format


@dataclass(frozen=True)
class Findings:
    """What a comparison found.

    Args:
        rows (Sequence[Row]): All rows.
        setting (Setting): What was compared.
        lines (list[Line]): Of the table.
        numbers (NumberFormat): How the metric is written.
    """

    rows: Sequence[Row]
    setting: Setting
    lines: list[Line]
    numbers: NumberFormat

    @classmethod
    def of(cls, rows: Sequence[Row], setting: Setting) -> Findings:
        return cls(rows, setting, lines(rows, setting), number_format(rows, setting))

    @property
    def sign(self) -> int:
        """1 where more is better, else -1."""
        return 1 if self.setting.metric.higher else -1

    @property
    def arms(self) -> list[Line]:
        """The lines that are compared: all but the plain student's, and only those with a result."""
        return [line for line in self.lines if line.arm != PLAIN and line.values]

    @property
    def plain(self) -> dict[int, Line]:
        """The plain student by its length."""
        return plain_by_length(self.lines, self.setting.metric.higher)

    @property
    def main_kind(self) -> str:
        """The comparison that counts: ``time``, or ``equal`` where there is none at equal time."""
        return main_kind(self.lines)

    def name(self, line: Line) -> str:
        return line_name(line, self.lines, self.setting)

    def gain(self, line: Line, kind: str) -> float:
        """By how much a line is better than the plain student; negative where it is worse."""
        return self.sign * line.differences[kind].mean

    def is_better(self, line: Line, kind: str) -> bool:
        """Whether it is better than the plain student beyond noise."""
        found = line.differences.get(kind)
        return found is not None and found.significant and self.gain(line, kind) > 0

    def paired(self, line: Line, other: Line) -> Difference | None:
        """The difference of two lines; None where they have less than two seeds in common."""
        values, beside = pairs(line, other)
        return paired(values, beside) if len(values) > 1 else None

    def pairs(self, line: Line, kind: str) -> tuple[list[float], list[float]]:
        """A line's values and those of the plain student that it is compared with, by common seeds; or nothing."""
        other = reference(line, self.lines, kind, self.setting.metric.higher)
        return ([], []) if other is None or kind not in line.differences else pairs(line, other)

    def deviation(self, line: Line, kind: str) -> float | None:
        """Standard deviation of a line's paired differences, 0 where it is rounding alone; None with less than two."""
        values, beside = self.pairs(line, kind)
        if len(values) < 2:
            return None
        found = float(np.std(np.subtract(values, beside), ddof=1))
        return found if found > 1e-9 * max(map(abs, [*values, *beside])) else 0.0


def is_sure(found: Difference) -> bool:
    """Whether a single difference is beyond noise."""
    return found.p <= 1 - LEVEL
