"""The results as a CSV file: one line a training; tables and figures are made from nothing else."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Protocol, TypeVar

from benchmarks.accuracy.plan import Cell
from mmdist.engine import atomic


class Line(Protocol):
    """A dataclass whose fields are the columns."""

    __dataclass_fields__: Any

    @property
    def place(self) -> tuple[Any, ...]:
        """Where it stands in the file."""


AnyLine = TypeVar("AnyLine", bound=Line)


@dataclass(frozen=True)
class Row:
    """One training and what came of it.

    Args:
        task, purpose, method, seed, iterations, lr_factor: As in :class:`Cell`.
        metric (float): Of the last checkpoint on the validation data, in percent.
        teacher_metric (float | None): Of the teacher afterwards, where it learns too; in percent.
        iteration_ms (float): Median time of an iteration.
        parameters (int): Of the student.
        finished (str): When.
        torch (str): Its version.
    """

    task: str
    purpose: str
    method: str
    seed: int
    iterations: int
    lr_factor: float
    metric: float
    teacher_metric: float | None
    iteration_ms: float
    parameters: int
    finished: str
    torch: str

    @property
    def cell(self) -> Cell:
        return Cell(self.task, self.purpose, self.method, self.seed, self.iterations, self.lr_factor)

    @property
    def place(self) -> tuple[str, str, int, str, int, float]:
        return (self.task, self.purpose, self.seed, self.method, self.iterations, self.lr_factor)


COLUMNS = [field.name for field in fields(Row)]
# By a field's annotation, from what stands in the file.
READERS: dict[str, Callable[[str], Any]] = {
    "str": str,
    "int": int,
    "float": float,
    "float | None": lambda text: float(text) if text else None,
}


def read(path: Path, kind: type[AnyLine] = Row) -> list[AnyLine]:
    """The file's rows; none where there is no file.

    Args:
        path (Path): The file.
        kind (type): A dataclass whose fields are the columns. Defaults to ``Row``.

    Raises:
        ValueError: A line that is not one of ours.
    """
    if not path.exists():
        return []
    readers = {field.name: READERS[str(field.type)] for field in fields(kind)}
    with path.open(encoding="utf-8", newline="") as file:
        lines = csv.DictReader(file)
        if lines.fieldnames != list(readers):
            raise ValueError(f"{path}: expected the columns {', '.join(readers)}, got {lines.fieldnames}")
        return [kind(**{name: reader(line[name]) for name, reader in readers.items()}) for line in lines]


def write(path: Path, rows: Sequence[Line], kind: type[Line] = Row) -> None:
    """Write the file, whole or not at all, in an order that does not depend on that of the trainings."""
    text = io.StringIO()
    writer = csv.DictWriter(text, [field.name for field in fields(kind)], lineterminator="\n")
    writer.writeheader()
    for row in sorted(rows, key=lambda row: row.place):
        writer.writerow(asdict(row))
    path.parent.mkdir(parents=True, exist_ok=True)
    atomic.write_text(text.getvalue(), path)
