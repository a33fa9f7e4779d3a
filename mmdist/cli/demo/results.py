"""The numbers of a demo: what the table, the report and ``results.json`` say."""

from __future__ import annotations

import math
import shlex
from dataclasses import dataclass
from typing import Any

from mmdist.cli.demo.catalog import Demo
from mmdist.cli.demo.training import Trained

HEAD = ("model", "parameters", "{} at equal iterations", "{} at equal time", "minutes")


@dataclass(frozen=True)
class Results:
    """A finished demo.

    Args:
        demo (Demo): Which.
        teacher (Trained): The teacher.
        plain (Trained): The student by itself, on the same schedule and seed.
        distilled (Trained): The student under the teacher.
        longer (Trained): The student by itself, on a schedule that takes as long as the distilled student's training.
        validation_images (int): How many images the metric is computed on.
        setting (dict[str, Any]): Command, versions, machine.
    """

    demo: Demo
    teacher: Trained
    plain: Trained
    distilled: Trained
    longer: Trained
    validation_images: int
    setting: dict[str, Any]

    @property
    def trained(self) -> list[Trained]:
        return [self.teacher, self.plain, self.distilled, self.longer]


def equal_time_iterations(iterations: int, plain_seconds: float, distilled_seconds: float) -> int:
    """How long the student by itself has to train to take as long as under the teacher; never less than before.

    Args:
        iterations (int): Of both trainings.
        plain_seconds (float): What the student by itself took.
        distilled_seconds (float): What the student under the teacher took.

    Returns:
        int: Iterations.

    Example:
        >>> equal_time_iterations(1000, 50.0, 80.0)
        1600
    """
    return max(iterations, round(iterations * distilled_seconds / plain_seconds))


def minutes(seconds: float) -> str:
    """Minutes, with a second decimal where there is less than one.

    Example:
        >>> minutes(90), minutes(3)
        ('1.5', '0.05')
    """
    return f"{seconds / 60:.1f}" if seconds >= 60 else f"{seconds / 60:.2f}"


def number(value: float) -> str:
    return f"{value:.1f}" if math.isfinite(value) else "-"


def rows(results: Results) -> list[tuple[str, ...]]:
    """The table's cells, without its head."""
    teacher, plain, distilled, longer = results.trained
    times = f"{minutes(plain.history.seconds)} ({minutes(longer.history.seconds)} at equal time)"
    return [
        ("teacher", f"{teacher.history.parameters:,}", number(teacher.metric), "-", minutes(teacher.history.seconds)),
        ("plain student", f"{plain.history.parameters:,}", number(plain.metric), number(longer.metric), times),
        (
            "distilled student",
            f"{distilled.history.parameters:,}",
            *(number(distilled.metric), number(distilled.metric), minutes(distilled.history.seconds)),
        ),
    ]


def table(results: Results) -> str:
    """The table: markdown that is also easy to read in a terminal."""
    cells = [tuple(text.format(results.demo.metric.name) for text in HEAD), *rows(results)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = [
        "| " + " | ".join(f"{cell:{'<' if not i else '>'}{widths[i]}}" for i, cell in enumerate(row)) + " |"
        for row in cells
    ]
    rule = "|" + "|".join("-" * (width + 1) + ("-" if not i else ":") for i, width in enumerate(widths)) + "|"
    return "\n".join([lines[0], rule, *lines[1:]])


def explanation(results: Results) -> str:
    """What the columns mean, in one line."""
    return (
        f"{results.demo.metric.name} in percent, of the last checkpoint on {results.validation_images} validation "
        f"images. Equal iterations: {results.plain.training.iterations} for each model. Equal time: the plain student "
        f"trains {results.longer.training.iterations} iterations, about as long as the distilled student takes. "
        "Minutes: training alone; the distilled student's do not include its teacher's."
    )


def as_json(results: Results) -> dict[str, Any]:
    """All numbers, for programs."""

    def finite(value: float) -> float | None:
        return round(value, 4) if math.isfinite(value) else None

    def entry(trained: Trained) -> dict[str, Any]:
        return {
            "config": f"configs/demo/{trained.training.config}",
            "iterations": trained.training.iterations,
            "parameters": trained.history.parameters,
            "metric": finite(trained.metric),
            "validations": {str(step): finite(value) for step, value in trained.validations.items()},
            "seconds": round(trained.history.seconds, 2),
            "checkpoint": f"{trained.training.name}/{trained.checkpoint.name}",
            "sha256": trained.sha256,
            "command": shlex.join(trained.command),
            "finished": trained.finished,
        }

    return {
        "task": results.demo.task,
        "data": results.demo.data,
        "metric": {"key": results.demo.metric.key, "name": results.demo.metric.name, "unit": "percent"},
        "validation_images": results.validation_images,
        "models": {trained.training.name: entry(trained) for trained in results.trained},
        **results.setting,
    }
