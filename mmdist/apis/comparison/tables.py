"""The tables of a comparison: the arms, the searches, the trainings that failed."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mmdist.apis.comparison.cells import FINAL, PLAIN, SEARCH, TIMING
from mmdist.apis.comparison.formatting import NOTHING, NumberFormat, counted, minutes_text, schedules_text
from mmdist.apis.comparison.line_names import arm_name, line_name, pairs, rate_text, reference
from mmdist.apis.comparison.lines import KINDS, Line, best_plain, lines
from mmdist.apis.comparison.results import Row, Setting, usable
from mmdist.apis.comparison.searches import candidates, chosen
from mmdist.apis.comparison.statistics import LEVEL, RATE
from mmdist.apis.comparison.table_layout import Strong, Table

FEWER = "*"  # behind the trials of an arm that had fewer than the plain student
AT_EQUAL_TIME, TO_THE_BEST = "plain student, equal time", "difference to the best plain student"
DEFAULT_REASON = "the metric is not a number"


def number_format(rows: Sequence[Row], setting: Setting) -> NumberFormat:
    """How the report writes the metric: the same in every table and sentence."""
    values = [row.metric for row in usable(rows) if row.metric is not None]
    return NumberFormat.of(setting.metric, [*values, setting.teacher_metric or 0.0])


def times_comparable(rows: Sequence[Row]) -> bool:
    """Whether the minutes are of one device: of the timed trainings, or of all where none was timed alone."""
    timed = [row for row in rows if row.purpose == TIMING and row.iteration_ms is not None]
    return len({row.device for row in timed or usable([row for row in rows if row.purpose == FINAL])}) <= 1


def comparison_table(rows: Sequence[Row], setting: Setting) -> Table:
    """One line an arm and length: metric, differences to the plain student, minutes, trials of its search.

    Args:
        rows (Sequence[Row]): All rows.
        setting (Setting): What was compared.

    Returns:
        Table: Without rows where there is no result yet.

    Example:
        >>> from mmdist.apis.comparison.results import Metric
        >>> arms = {'plain': 'plain student', 'kd': 'KD'}
        >>> setting = Setting('Digits', Metric('mIoU', 'mIoU'), 800, 'iterations', (0, 1), arms, {}, 'val', 'test')
        >>> values = {('plain', 0): 70.0, ('plain', 1): 72.0, ('kd', 0): 75.0, ('kd', 1): 76.0}
        >>> rows = [Row('final', arm, seed, 800, 1.0, 1.0, value) for (arm, seed), value in values.items()]
        >>> for row in comparison_table(rows, setting).rows:
        ...     print(row)
        ('plain student', '2', '71.00 ± 1.41', '-')
        ('KD', '2', '75.50 ± 0.71', '+4.50 [-1.85, +10.85]')
    """
    found, numbers = lines(rows, setting), number_format(rows, setting)
    most = max((line.trials for line in found if line.arm == PLAIN), default=0)
    best = best_plain(found, setting.metric.higher)
    length = "" if best is None else f" ({schedules_text(best.length, setting)})"
    head = (
        "arm",
        "seeds",
        setting.metric.name,
        "difference at equal length",
        "minutes",
        AT_EQUAL_TIME,
        "difference at equal time",
        f"{TO_THE_BEST}{length}",
        "trials of the search",
    )
    made = tuple(_comparison_row(line, found, setting, numbers, most) for line in found)
    return Table(head, made, notes=_notes(rows, setting, found, most)).filled()


def search_tables(rows: Sequence[Row], setting: Setting) -> list[Table]:
    """What was tried for each arm that had a search; what its reported trainings use stands out.

    Args:
        rows (Sequence[Row]): All rows.
        setting (Setting): What was compared.
    """
    numbers = number_format(rows, setting)
    searched = dict.fromkeys(row.arm for row in rows if row.purpose == SEARCH)
    order = [*(arm for arm in setting.arms if arm in searched), *(arm for arm in searched if arm not in setting.arms)]
    return [_search_table(arm, rows, setting, numbers) for arm in order]


def failed_table(rows: Sequence[Row], setting: Setting) -> Table:
    """The trainings that came to nothing, with the reason.

    Args:
        rows (Sequence[Row]): All rows.
        setting (Setting): What was compared.
    """
    # a short training for the time has no metric
    bad = [row for row in rows if row.failed or (row.purpose != TIMING and not usable([row]))]
    head = ("arm", "training", "reason", "seed", setting.unit, "learning rate", "weight")
    made = tuple(
        (
            *(arm_name(row.arm, setting), row.purpose, row.failed or DEFAULT_REASON),
            *(str(row.seed), str(row.length), rate_text(row.arm, row.rate, setting), f"{row.weight:g}"),
        )
        for row in sorted(bad, key=lambda row: row.cell)
    )
    return Table(head, made, words=3)


def _comparison_row(
    line: Line, found: Sequence[Line], setting: Setting, numbers: NumberFormat, most: int
) -> tuple[str, ...]:
    name = line_name(line, found, setting)
    if line.teacher is not None:
        name += f" (teacher afterwards: {line.teacher:.{max(1, numbers.decimals - 1)}f})"
    seeds = str(len(line.values)) + (f" ({line.failed} failed)" if line.failed else "")
    differences = [_difference(line, kind, setting, numbers) for kind in KINDS]
    few = line.arm != PLAIN and line.trials < most
    return (
        *(name, seeds, numbers.spread(list(line.values.values())), differences[0], minutes_text(line.minutes)),
        *(_at_equal_time(line, found, setting, numbers), *differences[1:]),
        f"{line.trials}{FEWER}" if few else str(line.trials) if most or line.trials else NOTHING,
    )


def _difference(line: Line, kind: str, setting: Setting, numbers: NumberFormat) -> str:
    found = line.differences.get(kind)
    if found is None:
        return NOTHING
    text = numbers.difference(found)
    return Strong(f"{text} {found.verdict(setting.metric.higher)}") if found.significant else text


def _at_equal_time(line: Line, found: Sequence[Line], setting: Setting, numbers: NumberFormat) -> str:
    """The plain student's values at equal time, for the same seeds."""
    other = reference(line, found, "time", setting.metric.higher)
    if other is None:
        return NOTHING
    text = numbers.spread(pairs(line, other)[1])
    return text if other.minutes is None else f"{text} ({minutes_text(other.minutes)} min)"


def _notes(rows: Sequence[Row], setting: Setting, found: Sequence[Line], most: int) -> tuple[str, ...]:
    notes = []
    if any(line.differences for line in found):
        notes.append(
            "Differences are means of the paired differences to the plain student of the same seed, with the "
            f"{100 * LEVEL:g} % interval of a paired t-test; better and worse: beyond noise at a false discovery rate "
            f"of {100 * RATE:g} % over all arms."
        )
    if not setting.metric.higher:
        notes.append(f"Of {setting.metric.name} less is better.")
    if any(line.arm != PLAIN and line.trials < most for line in found):
        notes.append(f"{FEWER} A search of fewer trainings than the plain student had ({counted(most, 'trial')}).")
    if not times_comparable(rows):
        notes.append("The trainings ran on different devices: their minutes cannot be compared.")
    return tuple(notes)


def _search_table(arm: str, rows: Sequence[Row], setting: Setting, numbers: NumberFormat) -> Table:
    found = candidates(rows, arm)
    best = chosen(rows, arm, setting)
    seeds = sorted({row.seed for candidate in found for row in candidate.rows})
    show_length = len({candidate.length for candidate in found}) > 1
    show_weight = len({candidate.weight for candidate in found}) > 1
    known = arm in (setting.learning_rate or {})
    rate = "learning rate" if known else "learning rate, times the config's"
    values = f"{setting.metric.name} of seed {' and '.join(map(str, seeds))}"
    optional = [*([setting.unit] * show_length), *(["weight"] * show_weight)]
    head = (f"{arm_name(arm, setting)}: {rate}", *optional, values, "mean")
    made = []
    for candidate in found:
        mean = numbers.value(candidate.mean) if candidate.values else NOTHING
        shown = [numbers.value(row.metric) if row in candidate.usable else "failed" for row in candidate.rows]
        more = [*([str(candidate.length)] * show_length), *([f"{candidate.weight:g}"] * show_weight)]
        marked = Strong(mean) if candidate == best else mean
        made.append((rate_text(arm, candidate.rate, setting), *more, ", ".join(shown), marked))
    return Table(head, tuple(made), words=0)


def hours(rows: Sequence[Row]) -> float:
    """Of all trainings together, by the time of their iterations."""
    return float(np.sum([row.minutes or 0.0 for row in rows])) / 60
