"""Trains what is missing, several at a time, and keeps what came of it after each training."""

from __future__ import annotations

import io
import shutil
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch

from benchmarks.accuracy import store
from benchmarks.accuracy.comparing import best_factor
from benchmarks.accuracy.plan import PLAIN, ROOT, SEARCH, TEACHER, TEACHER_SEED, Cell, Task
from benchmarks.accuracy.store import Row
from mmdist.apis.comparison.history import read_validations
from mmdist.apis.comparison.process import Progress
from mmdist.apis.comparison.stages import lock
from mmdist.cli.demo.main import make_data
from mmdist.cli.demo.report import versions_of
from mmdist.cli.demo.training import Place, Trained, Training, train
from mmdist.engine.config import load_config

Say = Callable[[str], None]


class Stopped(Exception):
    """Another training failed, or somebody pressed Ctrl-C."""


class Silent(Progress):
    """A training's progress that shows nothing, and ends the training when it is told to."""

    def __init__(self, label: str, stop: threading.Event) -> None:
        super().__init__(label, io.StringIO())
        self.stop = stop

    def line(self, line: str) -> None:
        if self.stop.is_set():
            raise Stopped


@dataclass
class Bench:
    """Where the benchmark works.

    Args:
        folder (Path): Absolute; trainings go there.
        results (Path): The CSV file.
        workers (int): Trainings at a time.
        say (Say): Prints a line.
        iterations (int, optional): Length of the schedule, instead of that of the configs.
        few (bool): Little data.
        again (Callable): Whether a training is made though the file has it; those of earlier in this run are not.
    """

    folder: Path
    results: Path
    workers: int
    say: Say
    iterations: int | None = None
    few: bool = False
    again: Callable[[Cell], bool] = lambda cell: False
    rows: dict[Cell, Row] = field(init=False)
    fresh: set[Cell] = field(init=False, default_factory=set)

    def __post_init__(self) -> None:
        self.rows = {row.cell: row for row in store.read(self.results)}

    def missing(self, cells: Iterable[Cell]) -> list[Cell]:
        """The cells that are to be trained."""
        return [cell for cell in cells if cell not in self.fresh and (cell not in self.rows or self.again(cell))]

    def keep(self, row: Row) -> None:
        """Take a result into the file."""
        self.rows[row.cell] = row
        self.fresh.add(row.cell)
        store.write(self.results, list(self.rows.values()))


def options_of(cell: Cell, cfg: Any) -> dict[str, Any]:
    """What a training changes in its config, beside length, data and seed.

    Args:
        cell (Cell): The training.
        cfg (Config): Its config.

    Returns:
        dict[str, Any]: Values by dotted key.
    """
    options: dict[str, Any] = {
        "train_cfg.val_interval": cell.iterations,  # at the end alone
        "default_hooks.checkpoint.interval": max(1, cell.iterations // 2),
    }
    if cell.lr_factor != 1.0:
        options["optim_wrapper.optimizer.lr"] = cfg.optim_wrapper.optimizer.lr * cell.lr_factor
        acclimated = cfg.optim_wrapper.get("paramwise_cfg", {}).get("custom_keys", {}).get("acclimated")
        if acclimated:  # it is the student's rate that was searched: the teacher's stays
            key = "optim_wrapper.paramwise_cfg.custom_keys.acclimated.lr_mult"
            options[key] = acclimated.lr_mult / cell.lr_factor
    for index, hook in enumerate(cfg.get("custom_hooks") or ()):
        if hook["type"] == "mmdist.DistillVisualizationHook":  # pictures are not what is timed
            options[f"custom_hooks.{index}.interval"] = 10**9
    return options


@contextmanager
def task_at_work(bench: Bench, task: Task, iterations: int) -> Iterator[TaskBench]:
    """Lock a task's folder and make its data; ``iterations`` are those of its schedule."""
    folder = bench.folder / task.name
    with lock(folder) as held:
        data = str(folder / "data" / task.demo.converter) if bench.few else f"data/{task.demo.converter}"
        place = Place(ROOT, folder, task.demo, data, versions_of(task.demo), 0, held)
        make_data(place, bench.few, Silent("data", threading.Event()))
        yield TaskBench(bench, task, place, iterations)


@dataclass
class TaskBench:
    """One task at work.

    Args:
        bench (Bench): All of it.
        task (Task): The task.
        place (Place): Its folder, locked.
        iterations (int): Of its schedule.
        teacher (Trained, optional): The teacher, from the first training on that needs it.
    """

    bench: Bench
    task: Task
    place: Place
    iterations: int
    teacher: Trained | None = None

    def train_teacher(self) -> None:
        """Train the teacher that was best in the search, unless it lies in the folder."""
        factor = best_factor(list(self.bench.rows.values()), self.task.name, TEACHER)
        cell = Cell(self.task.name, SEARCH, TEACHER, TEACHER_SEED, self.iterations, factor)
        known = cell in self.bench.rows
        self.teacher = self._train(cell, Silent(cell.folder, threading.Event()))
        row = self._row(cell, self.teacher)
        if not known or abs(row.metric - self.bench.rows[cell].metric) > 1e-9:
            if known:
                self.bench.say(f"{self.task.name}: the teacher was trained again: {row.metric:.2f} %")
            self.bench.keep(row)

    def train(self, cells: Iterable[Cell], *, alone: bool = False) -> None:
        """Train those of the cells that are not there yet; alone: one at a time."""
        waiting = self.bench.missing(cells)
        if self.teacher is None and any(cell.method not in (PLAIN, TEACHER) for cell in waiting):
            self.train_teacher()
        stop = threading.Event()
        with ThreadPoolExecutor(1 if alone else self.bench.workers) as pool:
            futures = {pool.submit(self._train, cell, Silent(cell.folder, stop)): cell for cell in waiting}
            try:
                self._collect(futures)
            except BaseException:
                stop.set()
                pool.shutdown(cancel_futures=True)
                raise

    def _collect(self, futures: dict[Future[Trained], Cell]) -> None:
        done, open_ = 0, set(futures)
        while open_:
            ended, open_ = wait(open_, return_when=FIRST_COMPLETED)
            for future in ended:
                cell, done = futures[future], done + 1
                row = self._row(cell, future.result())
                self.bench.keep(row)
                note = "" if row.teacher_metric is None else f", teacher now {row.teacher_metric:.1f}"
                rate = f", lr x{cell.lr_factor:g}" if cell.purpose == SEARCH else ""
                self.bench.say(
                    f"[{done}/{len(futures)}] {cell.task} {cell.method}, seed {cell.seed}, {cell.iterations} iterations"
                    f"{rate}: {self.task.demo.metric.name} {row.metric:.2f}{note}, "
                    f"{cell.iterations * row.iteration_ms / 60_000:.2f} min"
                )

    def _train(self, cell: Cell, progress: Progress) -> Trained:
        if cell in self.bench.rows and cell not in self.bench.fresh and self.bench.again(cell):
            # its folder has a finished training, which would be taken for this one
            shutil.rmtree(self.place.folder / cell.folder, ignore_errors=True)
        config = self.task.config(cell.method)
        cfg = load_config(str(self.place.root / self.place.config(config)))
        options = options_of(cell, cfg)
        teacher = None if cell.method in (PLAIN, TEACHER) else self.teacher
        training = Training(cell.folder, cell.folder, config, cell.iterations, teacher, options)
        return train(replace(self.place, seed=cell.seed), training, progress)

    def _row(self, cell: Cell, trained: Trained) -> Row:
        metric = self.task.demo.metric
        of_teacher = read_validations(self.place.folder / cell.folder, f"teacher.{metric.key}").get(cell.iterations)
        return Row(
            task=cell.task,
            purpose=cell.purpose,
            method=cell.method,
            seed=cell.seed,
            iterations=cell.iterations,
            lr_factor=cell.lr_factor,
            metric=round(trained.metric, 4),
            teacher_metric=None if of_teacher is None else round(of_teacher * metric.scale, 4),
            iteration_ms=round(1000 * trained.history.iteration_seconds, 3),
            parameters=trained.history.parameters,
            finished=trained.finished,
            torch=torch.__version__,
        )
