"""The results as a CSV file: one line a training; tables and figures are made from nothing else."""

from __future__ import annotations

import csv
import io
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from benchmarks.accuracy.plan import Cell
from mmdist.engine import atomic


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


COLUMNS = [field.name for field in fields(Row)]


def read(path: Path) -> list[Row]:
    """The file's rows; none where there is no file.

    Raises:
        ValueError: A line that is not one of ours.
    """
    if not path.exists():
        return []
    with path.open(encoding="utf-8", newline="") as file:
        lines = csv.DictReader(file)
        if lines.fieldnames != COLUMNS:
            raise ValueError(f"{path}: expected the columns {', '.join(COLUMNS)}, got {lines.fieldnames}")
        return [_row(line) for line in lines]


def _row(line: dict[str, str]) -> Row:
    return Row(
        task=line["task"],
        purpose=line["purpose"],
        method=line["method"],
        seed=int(line["seed"]),
        iterations=int(line["iterations"]),
        lr_factor=float(line["lr_factor"]),
        metric=float(line["metric"]),
        teacher_metric=float(line["teacher_metric"]) if line["teacher_metric"] else None,
        iteration_ms=float(line["iteration_ms"]),
        parameters=int(line["parameters"]),
        finished=line["finished"],
        torch=line["torch"],
    )


def _place(row: Row) -> tuple[str, str, int, str, int, float]:
    return (row.task, row.purpose, row.seed, row.method, row.iterations, row.lr_factor)


def write(path: Path, rows: list[Row]) -> None:
    """Write the file, whole or not at all, in an order that does not depend on that of the trainings."""
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    for row in sorted(rows, key=_place):
        writer.writerow(asdict(row))
    path.parent.mkdir(parents=True, exist_ok=True)
    atomic.write_text(text.getvalue(), path)
