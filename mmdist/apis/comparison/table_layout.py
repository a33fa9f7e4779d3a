"""A table, and how Markdown, HTML and a terminal show it."""

from __future__ import annotations

import textwrap
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

from mmdist.apis.comparison.formatting import NOTHING, html_text, markdown_text
from mmdist.errors import printable

GAP = "  "  # between columns of a terminal


class Strong(str):
    """The text of a cell that stands out."""


@dataclass(frozen=True)
class Table:
    """Plain text by rows and columns; escaped where it is shown.

    Args:
        head (tuple[str, ...]): Of the columns.
        rows (tuple[tuple[str, ...], ...]): Cells; a :class:`Strong` one stands out.
        words (int): How many of the first columns are words, to the left; the others are numbers. Defaults to 1.
        notes (tuple[str, ...]): Below the table.
    """

    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    words: int = 1
    notes: tuple[str, ...] = ()

    def filled(self) -> Table:
        """Without the columns of numbers in which no row has anything."""
        empty = [
            index for index in range(self.words, len(self.head)) if all(row[index] == NOTHING for row in self.rows)
        ]
        return self.without(*(self.head[index] for index in empty))

    def without(self, *names: str) -> Table:
        """Without some columns of numbers; one that is not there is no mistake."""
        kept = [index for index, name in enumerate(self.head) if index < self.words or name not in names]
        rows = tuple(tuple(row[index] for index in kept) for row in self.rows)
        return Table(tuple(self.head[index] for index in kept), rows, self.words, self.notes)


def markdown_table(table: Table) -> str:
    """A table of GitHub's Markdown, without its notes.

    Example:
        >>> print(markdown_table(Table(('arm', 'mIoU'), (('a|b', Strong('76.1')),))))
        | arm | mIoU |
        |---|--:|
        | a\\|b | **76.1** |
    """
    marks = ["---" if index < table.words else "--:" for index in range(len(table.head))]
    rows = [[_marked(text, markdown_text(text), "**", "**") for text in row] for row in table.rows]
    head = [markdown_text(text) for text in table.head]
    return "\n".join([_row(head), f"|{'|'.join(marks)}|", *map(_row, rows)])


def html_table(table: Table) -> str:
    """A table of HTML, without its notes.

    Example:
        >>> print(html_table(Table(('arm', 'mIoU'), (('<b>', '76.1'),))))
        <div class="scroll"><table>
        <thead><tr><th scope="col">arm</th><th scope="col" class="number">mIoU</th></tr></thead>
        <tbody>
        <tr><td>&lt;b&gt;</td><td class="number">76.1</td></tr>
        </tbody></table></div>
    """
    kinds = ["" if index < table.words else ' class="number"' for index in range(len(table.head))]
    head = "".join(
        f'<th scope="col"{kind}>{html_text(text)}</th>' for text, kind in zip(table.head, kinds, strict=True)
    )
    rows = [
        "".join(
            f"<td{kind}>{_marked(text, html_text(text), '<strong>', '</strong>')}</td>"
            for text, kind in zip(row, kinds, strict=True)
        )
        for row in table.rows
    ]
    body = "\n".join(f"<tr>{row}</tr>" for row in rows)
    return f'<div class="scroll"><table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody></table></div>'


def terminal_table(table: Table) -> str:
    """A table in columns, its notes below.

    Example:
        >>> print(terminal_table(Table(('arm', 'test mIoU'), (('dist', '76.1'), ('plain', '6.1')))))
               test
        arm    mIoU
        -----  ----
        dist   76.1
        plain   6.1
    """
    rows = [[printable(text) for text in row] for row in table.rows]
    heads = []
    widths = []
    for index, name in enumerate(table.head):
        needed = max([1, *(_width(row[index]) for row in rows), *(_width(word) for word in name.split())])
        heads.append(textwrap.wrap(printable(name), needed, break_on_hyphens=False) or [""])
        widths.append(max([needed, *(_width(line) for line in heads[-1])]))
    height = max(len(lines) for lines in heads)
    padded = [[""] * (height - len(lines)) + lines for lines in heads]
    above = [[lines[index] for lines in padded] for index in range(height)]
    rule = ["-" * width for width in widths]
    lines = [_columns(cells, widths, table.words) for cells in (*above, rule, *rows)]
    return "\n".join([*lines, *(printable(note, 1000) for note in table.notes)])


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _marked(text: str, escaped: str, begin: str, end: str) -> str:
    return f"{begin}{escaped}{end}" if isinstance(text, Strong) else escaped


def _columns(cells: Sequence[str], widths: Sequence[int], words: int) -> str:
    parts = []
    for index, (text, width) in enumerate(zip(cells, widths, strict=True)):
        space = " " * (width - _width(text))
        parts.append(text + space if index < words else space + text)
    return GAP.join(parts).rstrip()


def _width(text: str) -> int:
    """Columns of a terminal: two for a wide character, none for an accent that joins the one before."""
    return sum(
        0 if unicodedata.combining(char) else 2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in text
    )
