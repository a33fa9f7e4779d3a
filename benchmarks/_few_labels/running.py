"""Trains what is missing, several at a time, and keeps what came of it after each training."""

from __future__ import annotations

import shutil
import sys
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from pathlib import Path

import torch

from benchmarks._few_labels.configs import config_of
from benchmarks._few_labels.plan import (
    CHOOSING,
    ITERATIONS,
    JUDGING,
    LABELS,
    PLAIN,
    SCENES,
    SEARCH_SEED,
    SEEDS,
    TEACHER,
    TIMING_SEED,
    Cell,
    teacher_cell,
)
from benchmarks._few_labels.store import Row
from benchmarks.accuracy import store
from benchmarks.accuracy.plan import ROOT
from benchmarks.accuracy.running import Silent
from mmdist.apis.comparison.process import run as run_tool
from mmdist.apis.comparison.stages import read_json
from mmdist.cli.demo.catalog import choose
from mmdist.cli.demo.report import versions_of
from mmdist.cli.demo.training import Place, Trained, Training, train
from mmdist.engine import atomic

DEMO = choose("seg", "digits")
HALVES = ("student", "teacher")


@dataclass(frozen=True)
class Sizes:
    """How much data there is, and how long a schedule is.

    Args:
        scenes (int): Training scenes of each half of the digits.
        labels (int): Scenes of the student's that keep their labels.
        choosing (int): Validation scenes that choose.
        judging (int): Validation scenes that judge.
        iterations (int): Of a schedule.
    """

    scenes: int = SCENES
    labels: int = LABELS
    choosing: int = CHOOSING
    judging: int = JUDGING
    iterations: int = ITERATIONS


class BenchPlace(Place):
    """A demo's place whose configs lie in the benchmark's folder, with the data that they name."""

    def config(self, name: str) -> str:
        return str(self.folder / "configs" / name)

    def data_options(self, cfg: object) -> dict[str, str]:
        return {}

    def data_checksum(self) -> str:
        sums = (read_json(Path(self.data, half, "manifest.json")).get("tree_sha256", "") for half in HALVES)
        return " ".join(sums)


def make_data(folder: Path, sizes: Sizes, progress: Silent) -> Path:
    """Both halves' scenes, with the lists of every labelled subset; nothing is made that is there.

    Args:
        folder (Path): The benchmark's folder.
        sizes (Sizes): How many.
        progress (Silent): What ends it early.

    Returns:
        Path: The folder of both.
    """
    data = folder / "data"
    for half in HALVES:
        lists: list[str] = []
        if half == "student":
            seeds = map(str, (*SEEDS, SEARCH_SEED, TIMING_SEED))
            lists = ["--labeled", str(sizes.labels), "--subset-seed", *seeds]
        counts = ["--train", str(sizes.scenes), "--val", str(sizes.choosing + sizes.judging)]
        command = ["tools/dataset_converters/digit_scenes.py", "--out", data / half, "--digits", half, *counts, *lists]
        run_tool([sys.executable, *command], "making the data", folder / "data.log", cwd=ROOT, on_line=progress.line)
    return data


@dataclass
class Bench:
    """The benchmark at work.

    Args:
        folder (Path): Absolute and locked; trainings go there.
        data (Path): With both halves' scenes.
        results (Path): The CSV file.
        workers (int): Trainings at a time.
        say (Callable): Prints a line.
        sizes (Sizes): How much data, how long.
        lock (int): File descriptor of the folder's lock.
        again (Callable): Whether a training is made though the file has it.
    """

    folder: Path
    data: Path
    results: Path
    workers: int
    say: Callable[[str], None]
    sizes: Sizes
    lock: int
    again: Callable[[Cell], bool] = lambda cell: False
    rows: dict[Cell, Row] = field(init=False)
    fresh: set[Cell] = field(init=False, default_factory=set)

    def __post_init__(self) -> None:
        self.rows = {row.cell: row for row in store.read(self.results, Row)}

    def best(self, cells: Iterable[Cell]) -> Cell:
        """The cell with the highest metric."""
        return max(cells, key=lambda cell: self.rows[cell].metric)

    def train(self, cells: Iterable[Cell], rates: dict[str, float], *, alone: bool = False) -> None:
        """Train those of the cells that are not there yet.

        Args:
            cells (Iterable[Cell]): The cells.
            rates (dict[str, float]): By setting, the learning rate of the teachers.
            alone (bool): One at a time. Defaults to False.
        """
        wanted = list(dict.fromkeys(cells))
        waiting = [cell for cell in wanted if cell not in self.fresh and (cell not in self.rows or self.again(cell))]
        teachers = {cell: self._teacher(cell, rates) for cell in waiting if cell.arm not in (PLAIN, TEACHER)}
        self._train_all(dict.fromkeys(teachers.values()), {}, 1 if alone else self.workers)
        self._train_all(waiting, teachers, 1 if alone else self.workers)

    def _teacher(self, cell: Cell, rates: dict[str, float]) -> Cell:
        return teacher_cell(cell.setting, cell.seed, rates[cell.setting], self.sizes.iterations)

    def _train_all(self, cells: Iterable[Cell], teachers: dict[Cell, Cell], workers: int) -> None:
        """Teachers are found again in their folders, or trained anew where these are gone."""
        stop = threading.Event()
        with ThreadPoolExecutor(workers) as pool:
            futures = {pool.submit(self._train, cell, teachers.get(cell), stop): cell for cell in cells}
            try:
                self._collect(futures)
            except BaseException:
                stop.set()
                pool.shutdown(cancel_futures=True)
                raise

    def _collect(self, futures: dict[Future[Trained], Cell]) -> None:
        open_ = set(futures)
        while open_:
            ended, open_ = wait(open_, return_when=FIRST_COMPLETED)
            for future in ended:
                cell = futures[future]
                known = self.rows.get(cell)
                row = self._row(cell, future.result())
                if known is None or self.again(cell) or abs(known.metric - row.metric) > 1e-9:
                    self.rows[cell] = row
                    store.write(self.results, list(self.rows.values()), Row)
                    rate = f"lr x{cell.rate:g}, weight {cell.weight:g}"
                    self.say(
                        f"{cell.purpose}, {cell.setting}: {cell.arm}, seed {cell.seed}, {cell.iterations} iterations, "
                        f"{rate}: mIoU {row.metric:.2f}"
                    )
                self.fresh.add(cell)

    def _train(self, cell: Cell, teacher: Cell | None, stop: threading.Event) -> Trained:
        if self.again(cell) and cell not in self.fresh and cell.arm != TEACHER:
            shutil.rmtree(self.folder / cell.folder, ignore_errors=True)
        place = BenchPlace(ROOT, self.folder, DEMO, str(self.data), versions_of(DEMO), cell.seed, self.lock)
        by = None if teacher is None else self._train(teacher, None, stop)
        return train(place, self._training(cell, by), Silent(cell.folder, stop))

    def _training(self, cell: Cell, teacher: Trained | None) -> Training:
        sizes = self.sizes
        counts = dict(labels=sizes.labels, choosing=sizes.choosing, judging=sizes.judging)
        cfg = config_of(cell, self.data, **counts)
        name = f"{cell.folder}.py"
        path = self.folder / "configs" / name
        path.parent.mkdir(exist_ok=True)
        atomic.write_text(cfg.pretty_text, path)  # whole: two cells may share a teacher
        # Validated at the end alone; two checkpoints on the way.
        options = {
            "train_cfg.val_interval": cell.iterations,
            "default_hooks.checkpoint.interval": max(1, cell.iterations // 2),
        }
        return Training(cell.folder, cell.folder, name, cell.iterations, teacher, options)

    def _row(self, cell: Cell, trained: Trained) -> Row:
        return Row(
            **vars(cell),
            metric=round(trained.metric, 4),
            iteration_ms=round(1000 * trained.history.iteration_seconds, 3),
            parameters=trained.history.parameters,
            finished=trained.finished,
            torch=torch.__version__,
        )
