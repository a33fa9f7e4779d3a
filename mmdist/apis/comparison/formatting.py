"""Numbers and names of a comparison as people read them, and as Markdown, HTML and matplotlib take them literally."""

from __future__ import annotations

import html
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mmdist.apis.comparison.results import Metric, Setting
from mmdist.errors import printable

if TYPE_CHECKING:  # it needs scipy, which the figures of the demo do not
    from mmdist.apis.comparison.statistics import Difference

NOTHING = "-"
LONGEST_TEXT = 20_000
TIMES = {0.5: "half the schedule", 1.0: "one schedule", 2.0: "twice the schedule"}
TIMES_SIGN = "\u00d7"


@dataclass(frozen=True)
class NumberFormat:
    """How the values of a metric are written.

    Args:
        decimals (int): Behind the point.
        unit (str): Behind a difference in a sentence, such as `` points``.
    """

    decimals: int
    unit: str = ""

    @classmethod
    def of(cls, metric: Metric, values: Iterable[float]) -> NumberFormat:
        """Two decimals for percent, more for small numbers.

        Example:
            >>> NumberFormat.of(Metric('mIoU', 'mIoU'), [76.1]).value(76.123)
            '76.12'
            >>> NumberFormat.of(Metric('accuracy', 'accuracy'), [0.7, 0.8]).value(0.76123)
            '0.7612'
        """
        largest = max((abs(value) for value in values if math.isfinite(value)), default=0.0)
        # a metric that is percent by its name can still be logged as a share
        if metric.scale == 100 or (metric.percent and largest > 1):
            return cls(2, " points")
        if 0 < largest < 0.1:
            return cls(3 - math.floor(math.log10(largest)))
        return cls(4 if largest <= 1 else 3 if largest < 10 else 2)

    def value(self, value: float) -> str:
        return f"{value:.{self.decimals}f}"

    def signed(self, value: float) -> str:
        return f"{value:+.{self.decimals}f}"

    def amount(self, value: float) -> str:
        """The size of a difference, in a sentence.

        Example:
            >>> NumberFormat(2, ' points').amount(-2.1)
            '2.10 points'
        """
        return f"{abs(value):.{self.decimals}f}{self.unit}"

    def spread(self, values: Sequence[float]) -> str:
        """Mean and standard deviation.

        Example:
            >>> NumberFormat(2).spread([75.0, 77.0]), NumberFormat(2).spread([75.0]), NumberFormat(2).spread([])
            ('76.00 ± 1.41', '75.00', '-')
        """
        if not values:
            return NOTHING
        mean = self.value(float(np.mean(values)))
        return f"{mean} ± {self.value(float(np.std(values, ddof=1)))}" if len(values) > 1 else mean

    def difference(self, found: Difference) -> str:
        """Mean and interval.

        Example:
            >>> from mmdist.apis.comparison.statistics import Difference
            >>> NumberFormat(1).difference(Difference(1.0, -0.5, 2.5, p=0.1))
            '+1.0 [-0.5, +2.5]'
        """
        return f"{self.signed(found.mean)} [{self.signed(found.low)}, {self.signed(found.high)}]"


def minutes_text(minutes: float | None) -> str:
    """Minutes with two decimals, from 100 on with one; ``-`` where they are not known."""
    return NOTHING if minutes is None else f"{minutes:.2f}" if minutes < 100 else f"{minutes:.1f}"


def times_text(length: int, setting: Setting) -> str:
    """A length in schedules, in a sentence.

    Args:
        length (int): In the unit of the setting.
        setting (Setting): What was compared.
    """
    return TIMES.get(length / setting.length, schedules_text(length, setting))


def schedules_text(length: int, setting: Setting) -> str:
    """A length in schedules, such as ``1.5 schedules``."""
    schedules = length / setting.length
    return f"{schedules:.3g} schedule{'' if schedules == 1 else 's'}"


def listed(items: Sequence[str]) -> str:
    """Items in a sentence.

    Example:
        >>> listed(['a', 'b', 'c'])
        'a, b and c'
    """
    return " and ".join([", ".join(items[:-1]), items[-1]] if len(items) > 1 else items)


def counted(count: int, noun: str) -> str:
    """A number of things.

    Example:
        >>> counted(1, 'seed'), counted(3, 'seed')
        ('1 seed', '3 seeds')
    """
    return f"{count} {noun}{'' if count == 1 else 's'}"


def markdown_text(text: object) -> str:
    """Text that Markdown shows as it is: no emphasis, link, table cell, formula or HTML comes of it.

    Args:
        text (object): Such as the name of an arm.

    Returns:
        str: One line.

    Example:
        >>> print(markdown_text('a|b <script> `c` [d](e)'))
        a\\|b &lt;script&gt; \\`c\\` [d\\](e)
    """
    found = html.escape(printable(text, LONGEST_TEXT), quote=False)
    found = re.sub(r"([\\`*_|~$]|\](?=[(\[:]))", r"\\\1", found)
    # GitHub makes links of these by itself
    return re.sub(r"://|\bwww\.|@", lambda match: match[0][:-1] + f"&#{ord(match[0][-1])};", found)


def markdown_line(text: object) -> str:
    """Text that Markdown shows as it is at the beginning of a paragraph or of an item, too.

    Example:
        >>> print(markdown_line('# a'), markdown_line('1. a'), markdown_line('a # 1.'))
        \\# a 1\\. a a # 1.
    """
    found = re.sub(r"^([#+\-=\[])", r"\\\1", markdown_text(text).lstrip())
    return re.sub(r"^(\d+)(?=[.)](?:\s|$))", r"\1\\", found)


def markdown_code(text: object, language: str = "") -> str:
    """A block of code of one line, fenced so that nothing in it ends it.

    Example:
        >>> print(markdown_code('echo ```'))
        ````
        echo ```
        ````
    """
    shown = printable(text, LONGEST_TEXT)
    longest = max((len(run) for run in re.findall("`+", shown)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{language}\n{shown}\n{fence}"


def html_text(text: object) -> str:
    """Text that HTML shows as it is, between tags and in attributes.

    Example:
        >>> html_text('<script>"')
        '&lt;script&gt;&quot;'
    """
    return html.escape(printable(text, LONGEST_TEXT))


def figure_text(text: object, limit: int = 40) -> str:
    """Text that matplotlib draws as it is: no formula comes of it, and a legend does not leave it out.

    Example:
        >>> print(figure_text('$x$'))
        \\$x\\$
    """
    shown = printable(text)
    shown = (shown if len(shown) <= limit else f"{shown[: limit - 3]}...").replace("$", r"\$")
    return f" {shown}" if shown.startswith("_") else shown


def versions_text(versions: Mapping[str, str]) -> str:
    """Packages with their versions.

    Example:
        >>> versions_text({'torch': '2.5', 'mmdet': '3.3.0'})
        'torch 2.5, mmdet 3.3.0'
    """
    return ", ".join(f"{name} {version}" for name, version in versions.items())
