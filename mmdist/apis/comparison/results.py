"""The results of a comparison: one line a training, in a CSV file; tables and figures are made from nothing else."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from mmdist.apis.comparison.cells import PURPOSES, Cell
from mmdist.engine import atomic
from mmdist.errors import MMDistError


@dataclass(frozen=True)
class Row:
    """One training and what came of it.

    Args:
        purpose, arm, seed, length, rate, weight: As in :class:`Cell`.
        metric (float | None): Of the last checkpoint, as the report shows it; None where the training failed.
        teacher_metric (float | None): Of the teacher afterwards, where it learns too.
        iteration_ms (float | None): Median time of an iteration.
        iterations (int | None): How many there were; other than ``length`` where that counts epochs.
        parameters (int | None): Learnable numbers; of the student alone, where there is a teacher.
        failed (str): Why it failed; empty where it did not.
        finished (str): When, in ISO 8601.
        device (str): What it ran on; times of different devices are not compared.
        torch (str): Version of PyTorch.
        mmdist (str): Version of mmdist.
    """

    purpose: str
    arm: str
    seed: int
    length: int
    rate: float
    weight: float
    metric: float | None
    teacher_metric: float | None = None
    iteration_ms: float | None = None
    iterations: int | None = None
    parameters: int | None = None
    failed: str = ""
    finished: str = ""
    device: str = ""
    torch: str = ""
    mmdist: str = ""

    @property
    def cell(self) -> Cell:
        return Cell(self.purpose, self.arm, self.seed, self.length, self.rate, self.weight)

    @property
    def minutes(self) -> float | None:
        """Of the training by its own clock: the time of an iteration times their number."""
        if self.iteration_ms is None or self.iterations is None:
            return None
        return self.iterations * self.iteration_ms / 60_000


COLUMNS = tuple(field.name for field in fields(Row))


def _number(kind: Callable[[str], Any]) -> Callable[[str], Any]:
    return lambda text: kind(text) if text else None


READERS: dict[str, Callable[[str], Any]] = {
    "str": str,
    "int": int,
    "float": float,
    "float | None": _number(float),
    "int | None": _number(int),
}


def read(path: Path) -> list[Row]:
    """The file's rows; none where there is no file.

    Raises:
        MMDistError: A file with other columns, or a line that is not one of ours.
    """
    if not path.exists():
        return []
    readers = {field.name: READERS[str(field.type)] for field in fields(Row)}
    with path.open(encoding="utf-8", newline="") as file:
        lines = csv.DictReader(file)
        if tuple(lines.fieldnames or ()) != COLUMNS:
            raise MMDistError(f"{path}: expected the columns {', '.join(COLUMNS)}")
        rows = []
        for number, line in enumerate(lines, start=2):
            try:
                row = Row(**{name: reader(line[name]) for name, reader in readers.items()})
            except (TypeError, ValueError) as error:
                raise MMDistError(f"{path}, line {number}: not a training's result ({error})") from error
            if row.purpose not in PURPOSES:
                raise MMDistError(f"{path}, line {number}: purpose is {row.purpose!r}, not one of {PURPOSES}")
            rows.append(row)
    return rows


def write(path: Path, rows: Iterable[Row]) -> None:
    """Write the file, whole or not at all, in an order that does not depend on that of the trainings."""
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    for row in sorted(rows, key=lambda row: row.cell):
        writer.writerow(asdict(row))
    path.parent.mkdir(parents=True, exist_ok=True)
    atomic.write_text(text.getvalue(), path)


@dataclass(frozen=True)
class Metric:
    """The number that is compared.

    Args:
        key (str): How the task library logs it, such as ``coco/bbox_mAP``.
        name (str): How the report calls it.
        scale (float): Factor to what the report shows. Defaults to 1.
        higher (bool): Whether more is better. Defaults to True.
        absent (float, optional): Its value where the library logs none; MMDetection does so where nothing at all was
            detected. None: that is an error.
    """

    key: str
    name: str
    scale: float = 1.0
    higher: bool = True
    absent: float | None = None

    @property
    def percent(self) -> bool:
        return self.name in ("mIoU", "mAP", "top-1") or self.scale == 100


@dataclass(frozen=True)
class Setting:
    """What was compared, beside the numbers.

    Args:
        title (str): The report's.
        metric (Metric): What is compared.
        length (int): One schedule of the student's config.
        unit (str): What lengths count: ``iterations`` or ``epochs``.
        seeds (tuple[int, ...]): Of the reported trainings.
        arms (dict[str, str]): What an arm is, in words, by its name; ``plain`` first.
        searched (dict[str, str]): By arm, how its learning rate was found: ``own`` or ``plain``, the plain student's,
            or ``config``.
        chosen_on (str): The images that searches are judged on.
        judged_on (str): The images that the report is about.
        teacher (str): Its config.
        teacher_metric (float, optional): Of its checkpoint, on the images that the report is about.
        teacher_parameters (int, optional): Learnable numbers.
        learning_rate (dict[str, float]): Of the configs, by arm.
        command (str): That does it again.
        versions (dict[str, str]): Of the packages.
        machine (str): In words.
        notes (tuple[str, ...]): What the reader has to know first.
        selected_on_judged (bool): Whether searches were judged on the images that the report is about, as in results
            that are older than the engine. Defaults to False.
        time_step (float): Lengths at equal time are multiples of it, in schedules. Defaults to 0.25.
        time_up (bool): Whether they are rounded up, so that the plain student has no less time; else to the nearest.
            Defaults to True.
    """

    title: str
    metric: Metric
    length: int
    unit: str
    seeds: tuple[int, ...]
    arms: dict[str, str]
    searched: dict[str, str]
    chosen_on: str
    judged_on: str
    teacher: str = ""
    teacher_metric: float | None = None
    teacher_parameters: int | None = None
    learning_rate: dict[str, float] | None = None
    command: str = ""
    versions: dict[str, str] | None = None
    machine: str = ""
    notes: tuple[str, ...] = ()
    selected_on_judged: bool = False
    time_step: float = 0.25
    time_up: bool = True


def usable(rows: Sequence[Row]) -> list[Row]:
    """The rows that have a finite number."""
    return [row for row in rows if row.metric is not None and math.isfinite(row.metric)]
