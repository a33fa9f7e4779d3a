"""What is compared: tasks, methods, seeds, and the trainings that this takes."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from mmdist.cli.demo.catalog import Demo, choose

ROOT = Path(__file__).parents[2]
PLAIN = "plain"  # the student by itself
TEACHER = "teacher"
# Why a training was made.
SEARCH, EPOCHS, TIME, TIMING = "search", "equal epochs", "equal time", "timing"
SEARCH_SEEDS = (100, 101)  # not those that are compared
SEARCH_FACTORS = (0.5, 1.0, 2.0)  # and on, by factors of two, while the best is at an end
TEACHER_SEED = 0
TIMING_SEED = 200  # of short trainings, one at a time, for the time that an iteration takes
TIMING_ITERATIONS = 60
TIME_STEP = 0.5  # of the longer trainings' lengths, in schedules: methods of about the same cost share one

NAMES: Mapping[str, str] = {
    PLAIN: "plain student",
    "kd": "KD",
    "dkd": "DKD",
    "dist": "DIST",
    "distplus": "DIST+",
    "sdd": "SDD",
    "sdkd": "SD-KD",
    "sddkd": "SD-DKD",
    "sdnkd": "SD-NKD",
    "rdd": "RDD (with KD)",
    "rdd-dist": "RDD + DIST",
    "dckd": "DCKD (reconstructed)",
    "cwd": "CWD (MMRazor)",
    "pkd": "PKD (MMRazor)",
}


@dataclass(frozen=True)
class Task:
    """One task: data, teacher, student, methods and seeds.

    Args:
        demo (Demo): Data, metric, teacher and student.
        pair (str): What follows the method in the names of the configs.
        methods (tuple[str, ...]): First parts of the configs' names, without ``plain``.
        seeds (int): How many there are, from 0 on.
        tuned (tuple[str, ...]): Those of the methods that are tried at a learning rate of their own too.
    """

    demo: Demo
    pair: str
    methods: tuple[str, ...]
    seeds: int
    tuned: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        return self.demo.name

    def config(self, method: str) -> str:
        """The config of a method, of the plain student or of the teacher; in ``configs/demo``."""
        own = {PLAIN: self.demo.student, TEACHER: self.demo.teacher}
        return own.get(method) or f"{method}_{self.pair}.py"


TASKS = (
    Task(
        choose("cls"),
        "resnet18-w16_resnet18-w2_1xb64-500_mnist5k",
        ("kd", "dkd", "dist", "distplus", "sdkd", "sddkd", "sdnkd", "rdd", "rdd-dist", "dckd"),
        seeds=5,
    ),
    Task(
        choose("seg", "digits"),
        "upernet_r18-w32_upernet_r18-w4_1xb32-800_digits",
        ("kd", "dist", "distplus", "sdd", "rdd", "rdd-dist", "dckd", "cwd"),
        seeds=5,
        tuned=("dist",),
    ),
    Task(
        choose("det", "digits"),
        "retinanet_r18-w32_retinanet_r18-w8_1xb32-800_digits",
        ("kd", "dist", "distplus", "sdd", "rdd", "rdd-dist", "dckd", "pkd"),
        seeds=3,
    ),
    Task(choose("seg", "nuclei"), "upernet_r18-w32_upernet_r18-w8_1xb8-300_nuclei", ("dist",), seeds=3),
    Task(choose("det", "trees"), "retinanet_r18-w32_retinanet_r18-w8_1xb4-600_trees", ("dist",), seeds=3),
)


@dataclass(frozen=True)
class Cell:
    """One training.

    Args:
        task (str): Its task's name.
        purpose (str): search, equal epochs, equal time or timing.
        method (str): A key of ``NAMES``, or teacher.
        seed (int): Of the training.
        iterations (int): Its length.
        lr_factor (float): Times the learning rate of the config.
    """

    task: str
    purpose: str
    method: str
    seed: int
    iterations: int
    lr_factor: float = 1.0

    @property
    def folder(self) -> str:
        """Where it is trained, below the task's folder."""
        return f"{self.method}-seed{self.seed}-{self.iterations}-lr{self.lr_factor:g}"


def search_seeds(method: str) -> tuple[int, ...]:
    """The seeds that a learning rate is searched with."""
    return (TEACHER_SEED,) if method == TEACHER else SEARCH_SEEDS


def search_cells(
    task: Task, iterations: int, factors: Iterable[float] = SEARCH_FACTORS, method: str = PLAIN
) -> Iterator[Cell]:
    """The plain student, a method or the teacher at each learning rate.

    Args:
        task (Task): The task.
        iterations (int): Of its schedule.
        factors (Iterable[float]): Times the config's learning rate.
        method (str): ``plain`` or a method; or ``teacher``, the best of whom becomes the teacher.
    """
    for seed in search_seeds(method):
        for factor in factors:
            yield Cell(task.name, SEARCH, method, seed, iterations, factor)


def epoch_cells(task: Task, iterations: int, factor: float) -> Iterator[Cell]:
    """All methods, seed by seed: what changes on the machine meanwhile touches all of them alike."""
    for seed in range(task.seeds):
        for method in (PLAIN, *task.methods):
            yield Cell(task.name, EPOCHS, method, seed, iterations, factor)


def tuned_cells(task: Task, method: str, iterations: int, factor: float) -> Iterator[Cell]:
    """One method with every seed, at a learning rate of its own."""
    for seed in range(task.seeds):
        yield Cell(task.name, EPOCHS, method, seed, iterations, factor)


def timing_cells(task: Task, iterations: int) -> Iterator[Cell]:
    """All methods and the teacher one after the other, for the time of an iteration."""
    for method in (TEACHER, PLAIN, *task.methods):
        yield Cell(task.name, TIMING, method, TIMING_SEED, min(iterations, TIMING_ITERATIONS))


def time_cells(task: Task, iterations: int, factor: float, ratios: Mapping[str, float]) -> Iterator[Cell]:
    """The plain student, trained for as long as the methods take.

    Args:
        task (Task): The task.
        iterations (int): Of its schedule.
        factor (float): Times the config's learning rate.
        ratios (Mapping[str, float]): By method, its time for an iteration in the plain student's.
    """
    lengths = sorted({longer(iterations, ratio) for ratio in ratios.values()} - {iterations})
    for seed in range(task.seeds):
        for length in lengths:
            yield Cell(task.name, TIME, PLAIN, seed, length, factor)


def longer(iterations: int, ratio: float) -> int:
    """How long the plain student trains to take as long as a method, in halves of the schedule; never less than it.

    Args:
        iterations (int): Of the schedule.
        ratio (float): Of the times for an iteration.

    Example:
        >>> longer(800, 1.6), longer(800, 0.9)
        (1200, 800)
    """
    return round(iterations * max(1.0, math.floor(ratio / TIME_STEP + 0.5) * TIME_STEP))
