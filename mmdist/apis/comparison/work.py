"""A comparison at work: batch by batch, what is missing is trained and kept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mmdist.apis.comparison import results
from mmdist.apis.comparison.cells import FINAL, TEACHER, TIMING, Cell
from mmdist.apis.comparison.execution import Worker, train_all
from mmdist.apis.comparison.inputs import file_sum
from mmdist.apis.comparison.outlook import minutes, outlook
from mmdist.apis.comparison.prepare import Prepared
from mmdist.apis.comparison.progress import Display
from mmdist.apis.comparison.results import Row
from mmdist.apis.comparison.schedule import Batch, next_batch, teacher_of
from mmdist.apis.comparison.stages import sha256
from mmdist.apis.comparison.trainings import Place, Training, checkpoint_of, failed, found
from mmdist.errors import MMDistError

RESULTS = "results.csv"


@dataclass
class Work:
    """A comparison at work.

    Args:
        prepared (Prepared): Of what cells are made.
        place (Place): Its folder, locked.
        workers (Sequence[Worker]): Who trains.
        display (Display): Shows it.
    """

    prepared: Prepared
    place: Place
    workers: Sequence[Worker]
    display: Display

    def __post_init__(self) -> None:
        self.rows: dict[Cell, Row] = {}

    def run(self) -> None:
        """Train what is missing, batch by batch."""
        while (batch := self.next()) is not None:
            self._expect()
            self.display.say(f"{batch.what}: {len(batch.cells)} training{'s' * (len(batch.cells) > 1)}")
            trainings = [self._training(cell) for cell in batch.cells]
            ready = [training for training in trainings if isinstance(training, Training)]
            for row in (training for training in trainings if isinstance(training, Row)):
                self._keep(row.cell, row)
            train_all(self.place, ready, self.workers[:1] if batch.alone else self.workers, self.display, self._keep)

    def train_here(self, cells: Sequence[Cell]) -> list[Row]:
        """Train some cells, one after the other, in a job of a cluster.

        Args:
            cells (Sequence[Cell]): Those of the job.
        """
        self.next(again=False)  # for what these cells stand on
        for training in map(self._training, cells):
            if isinstance(training, Training):
                train_all(self.place, [training], self.workers[:1], self.display, self._end)
            else:
                self._end(training.cell, training)
        return [self.rows[cell] for cell in cells]

    def next(self, *, again: bool = True) -> Batch | None:
        """The next batch of which something is missing, what was finished before taken into the rows.

        Args:
            again (bool): Whether what failed before is missing, and tried once more. Defaults to True.
        """
        plan, lengths = self.prepared.plan, self.prepared.lengths
        while (batch := next_batch(plan, lengths, self.rows)) is not None:
            before = {cell: self._found(cell, again=again) for cell in batch.cells}
            known = {cell: row for cell, row in before.items() if row is not None}
            self.rows.update(known)
            self.display.done += len(known)
            if len(known) < len(batch.cells):
                missing = tuple(cell for cell in batch.cells if cell not in known)
                return Batch(batch.what, missing, batch.alone)
        return None

    def _found(self, cell: Cell, *, again: bool) -> Row | None:
        training = self._training(cell)
        return found(self.place, training, again=again) if isinstance(training, Training) else None

    def _training(self, cell: Cell) -> Training | Row:
        """What a cell trains, or why it cannot."""
        cfg, teacher = self.prepared.config_of(cell), self.prepared.plan.teacher
        taught = teacher is not None and cell.arm != TEACHER and self.prepared.plan.arm(cell.arm).taught
        if not taught or teacher is None:
            return Training(cell, cfg)
        if teacher.checkpoint:
            return Training(cell, cfg, teacher.checkpoint, file_sum(teacher.checkpoint) or teacher.checkpoint)
        source = teacher_of(self.prepared.plan, self.prepared.lengths, self.rows, cell)
        checkpoint = checkpoint_of(self.place, source) if source is not None else None
        if checkpoint is None:
            return failed(cell, "its teacher failed")
        return Training(cell, cfg, str(checkpoint), sha256(checkpoint))

    def teacher(self) -> Path | None:
        """The weights that teach in the reported trainings; of the first seed, where each has its own."""
        plan = self.prepared.plan
        if plan.teacher is None:
            return None
        if plan.teacher.checkpoint:
            return Path(plan.teacher.checkpoint) if file_sum(plan.teacher.checkpoint) else None
        taught = next((cell for cell in sorted(self.rows) if cell.purpose == FINAL and plan.arm(cell.arm).taught), None)
        source = teacher_of(plan, self.prepared.lengths, self.rows, taught) if taught is not None else None
        return checkpoint_of(self.place, source) if source is not None else None

    def _keep(self, cell: Cell, row: Row) -> None:
        self._end(cell, row)
        results.write(self.place.folder / RESULTS, self.rows.values())

    def _end(self, cell: Cell, row: Row) -> None:
        self.rows[cell] = row
        self._expect(cell)
        self.display.end(cell, row)  # which says how long the rest takes

    def _expect(self, ended: Cell | None = None) -> None:
        try:
            batches = outlook(self.prepared.plan, self.prepared.lengths, self.rows)
        except MMDistError:  # nothing can go on; how the last one failed is said first
            batches = []
        self.display.total = self.display.done + (ended is not None) + sum(len(batch.cells) for batch in batches)
        self.display.left = minutes(
            *(batches, times(self.rows), per_length(self.rows), len(self.workers)), beside=self.display.beside
        )


def times(rows: Mapping[Cell, Row]) -> dict[str, float]:
    """By arm, the milliseconds of an iteration as far as any training has told."""
    found: dict[str, list[float]] = {}
    for row in rows.values():
        if row.iteration_ms:
            found.setdefault(row.arm, []).append(row.iteration_ms)
    return {arm: sorted(values)[len(values) // 2] for arm, values in found.items()}


def per_length(rows: Mapping[Cell, Row]) -> float:
    """Iterations in a unit of a length: 1 where lengths count iterations, or nothing is known."""
    known = [row.iterations / row.length for row in rows.values() if row.iterations and row.purpose != TIMING]
    return max(known, default=1.0)
