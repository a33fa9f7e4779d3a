"""``mmdist compare --plan``: the trainings of a comparison and the time that they take; nothing is trained."""

from __future__ import annotations

import io
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from mmdist.apis.comparison.cells import TIMING, Cell
from mmdist.apis.comparison.execution import Worker, train_all
from mmdist.apis.comparison.outlook import minutes, outlook
from mmdist.apis.comparison.prepare import Prepared
from mmdist.apis.comparison.progress import Display, duration
from mmdist.apis.comparison.results import Row
from mmdist.apis.comparison.trainings import Place, Training
from mmdist.apis.comparison.work import Work, per_length, times
from mmdist.errors import MMDistError

PROBED = 6  # iterations of an arm


def outline(prepared: Prepared, place: Place, workers: Sequence[Worker]) -> str:
    """What would be trained, and how long it takes.

    Where nothing has been trained, a few iterations of each arm are measured, of which nothing stays.

    Args:
        prepared (Prepared): Of what cells are made.
        place (Place): The comparison's folder, locked.
        workers (Sequence[Worker]): Who would train.
    """
    plan, lengths = prepared.plan, prepared.lengths
    work = Work(prepared, place, workers, Display.on(prepared.metric, io.StringIO()))
    work.next()  # takes in what was finished, of these configs alone
    rows = work.rows
    batches = outlook(plan, lengths, rows)
    lines = [f"{'what':40} trainings   lengths"]
    for batch in batches:
        counts = ", ".join(str(length) for length in sorted({cell.length for cell in batch.cells}))
        lines.append(f"{batch.what:40} {len(batch.cells):9}   {counts}{' iterations' if batch.alone else ''}")
    known, beside = times(rows), 0.0
    if not known:
        known, beside = probe(prepared, place, workers)
    took = minutes(batches, known, per_length(rows), len(workers), beside)
    total = sum(len(batch.cells) for batch in batches)
    lines.append(
        f"{total} trainings on {len(workers)} worker{'s' * (len(workers) > 1)}, if no search has to be widened"
    )
    lines += [f"  {arm}: {ms:.0f} ms an iteration" for arm, ms in known.items()]
    lines.append(f"predicted: {duration(took)}" if took is not None else "predicted: not known, no arm trains")
    return "\n".join(lines)


def probe(prepared: Prepared, place: Place, workers: Sequence[Worker]) -> tuple[dict[str, float], float]:
    """Milliseconds of an iteration by arm, and the minutes of a training beside its iterations.

    From a few iterations, in a folder that is removed afterwards.
    """
    folder = Path(tempfile.mkdtemp(prefix=".probe-", dir=place.folder))
    try:
        here = replace(place, folder=folder)
        trainings = []
        for arm in prepared.plan.arms:
            cell = Cell(TIMING, arm.name, prepared.plan.seeds[0], PROBED)
            cfg = replace(prepared, lengths=replace(prepared.lengths, timing=PROBED)).config_of(cell)
            teacher = prepared.plan.teacher
            checkpoint = teacher.checkpoint if arm.taught and teacher and teacher.checkpoint else None
            if arm.taught and checkpoint is None and cfg.model.get("teacher"):
                cfg.model.random_teacher = True
            trainings.append(Training(cell, cfg, checkpoint))
        rows: dict[Cell, Row] = {}
        display = Display.on(prepared.metric, io.StringIO())

        def ended(cell: Cell, row: Row) -> None:
            rows[cell] = row
            display.end(cell, row)

        train_all(here, trainings, workers[:1], display, ended)
        wrong = [row.failed for row in rows.values() if row.failed]
        if wrong:
            raise MMDistError(wrong[0])
        return times(rows), display.beside
    finally:
        shutil.rmtree(folder, ignore_errors=True)
