"""Shows how far a comparison is: a live table on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import re
import threading
import time
from dataclasses import dataclass, field
from statistics import median
from typing import TextIO

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from mmdist.apis.comparison.cells import Cell
from mmdist.apis.comparison.results import Metric, Row

PAUSE = 60.0  # seconds between two lines of a training where there is no terminal
DONE = re.compile(r"(?:Iter|Epoch)\(train\)\s*(?:\[\s*(\d+)\])?\[\s*(\d+)/(\d+)\](?:.*?\bloss: ([\d.eE+-]+|nan|inf))?")


@dataclass
class _Work:
    worker: str
    begun: float
    said: float
    state: str = "starts"


@dataclass
class Display:
    """The trainings at work.

    Args:
        metric (Metric): What is compared.
        console (Console): Where to show it.
        total (int): Trainings that there will be, as far as one knows.
        done (int): Those of them that are finished.
        left (float, optional): Minutes that the rest will take.
    """

    metric: Metric
    console: Console = field(default_factory=Console)
    total: int = 0
    done: int = 0
    left: float | None = None
    _beside: list[float] = field(default_factory=list)
    _works: dict[Cell, _Work] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _live: Live | None = None

    @classmethod
    def on(cls, metric: Metric, stream: TextIO | None = None) -> Display:
        """On a stream; stdout by default."""
        return cls(metric, Console(file=stream, highlight=False, soft_wrap=True))

    def __enter__(self) -> Display:
        if self.console.is_terminal:
            self._live = Live(get_renderable=self._table, console=self.console, refresh_per_second=2, transient=True)
            self._live.start()
        return self

    def __exit__(self, *error: object) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None

    def say(self, text: str) -> None:
        """A line that stays."""
        self.console.print(Text(text))

    def begin(self, cell: Cell, worker: str) -> None:
        """A training begins."""
        now = time.monotonic()
        with self._lock:
            self._works[cell] = _Work(worker, now, now)

    def line(self, cell: Cell, line: str) -> None:
        """Look at a line that a training wrote."""
        found = DONE.search(line)
        if not found:
            return
        epoch, step, steps, loss = found.groups()
        now = time.monotonic()
        with self._lock:
            work = self._works.get(cell)
            if work is None:
                return
            work.state = f"{f'epoch {epoch}, ' if epoch else ''}{step} of {steps}" + (f", loss {loss}" if loss else "")
            due = not self.console.is_terminal and now - work.said >= PAUSE
            work.said = now if due else work.said
        if due:
            self.say(f"  {describe(cell)}: {work.state}")

    @property
    def beside(self) -> float:
        """Minutes that a training takes beside its iterations: the median of those that have ended; 0 before."""
        return median(self._beside) if self._beside else 0.0

    def end(self, cell: Cell, row: Row) -> None:
        """A training has ended."""
        with self._lock:
            work = self._works.pop(cell, None)
            self.done += 1
        if work is not None and row.minutes is not None:
            self._beside.append(max(0.0, (time.monotonic() - work.begun) / 60 - row.minutes))
        took = f", {time.monotonic() - work.begun:.0f} s" if work else ""
        if row.failed:
            outcome = f"failed: {row.failed}"
        elif row.metric is None:
            outcome = f"{row.iteration_ms:.1f} ms an iteration"
        else:
            outcome = f"{self.metric.name} {row.metric:.4g}"
        self.say(f"[{self.done}/{max(self.total, self.done)}] {describe(cell)}: {outcome}{took}{self._left()}")

    def _left(self) -> str:
        return "" if self.left is None else f"; about {duration(self.left)} left"

    def _table(self) -> Group:
        table = Table(box=None, pad_edge=False)
        for name in ("training", "at", "for", "on"):
            table.add_column(name, style="dim" if name == "on" else None)
        with self._lock:
            for cell, work in self._works.items():
                cells = (describe(cell), work.state, duration((time.monotonic() - work.begun) / 60), work.worker)
                table.add_row(*map(Text, cells))
        return Group(table, Text(f"{self.done} of {max(self.total, self.done)} trainings done{self._left()}"))


def describe(cell: Cell) -> str:
    """A training in words.

    Example:
        >>> describe(Cell('search', 'dist', 100, 800, 4.0))
        'search, dist, seed 100, length 800, lr x4'
    """
    weight = "" if cell.weight == 1 else f", weight x{cell.weight:g}"
    rate = "" if cell.rate == 1 else f", lr x{cell.rate:g}"
    return f"{cell.purpose}, {cell.arm}, seed {cell.seed}, length {cell.length}{rate}{weight}"


def duration(minutes: float) -> str:
    """Minutes in words.

    Example:
        >>> duration(0.5), duration(12.3), duration(150)
        ('30 s', '12 min', '2 h 30 min')
    """
    if minutes < 1.5:
        return f"{60 * minutes:.0f} s"
    if minutes < 90:
        return f"{minutes:.0f} min"
    return f"{minutes // 60:.0f} h {minutes % 60:.0f} min"
