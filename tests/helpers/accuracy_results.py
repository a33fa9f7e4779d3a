"""The committed results of ``benchmarks/accuracy`` as rows and settings of a comparison."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))  # as `python -m benchmarks.accuracy` does in the project's folder

# isort: split
from benchmarks.accuracy import comparing, plan, store, tables
from mmdist.apis.comparison.results import Metric, Row, Setting
from mmdist.engine.config import load_config

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "benchmarks" / "accuracy" / "results" / "accuracy.csv"
PAGE = ROOT / "docs" / "en" / "benchmarks" / "accuracy.md"
OLD_RESULTS = store.read(RESULTS)
OWN = "-own"  # behind the name of a method with a learning rate of its own
PURPOSES = {plan.SEARCH: "search", plan.TIMING: "timing", plan.EPOCHS: "final", plan.TIME: "final"}


def convert(old: Sequence[store.Row], task: plan.Task) -> tuple[list[Row], Setting]:
    """One task's rows and setting.

    Args:
        old (Sequence): Rows of the benchmark.
        task (Task): One of its tasks.
    """
    factor = comparing.best_factor(old, task.name)
    own = [row for row in old if row.task == task.name]
    rows = [_row(row, _arm(row, task, factor)) for row in own]
    # a method costs the same at a learning rate of its own
    rows += [_row(row, row.method + OWN) for row in own if row.purpose == plan.TIMING and row.method in task.tuned]
    arms = {method: plan.NAMES[method] for method in (plan.PLAIN, *task.methods)}
    arms |= {method + OWN: f"{plan.NAMES[method]}, own rate" for method in task.tuned}
    teacher = comparing.teacher_row(old, task.name)
    searched = dict.fromkeys(row.arm for row in rows if row.purpose == "search")
    rates = {arm: float(_config(task, arm).optim_wrapper.optimizer.lr) for arm in searched}
    setting = Setting(
        title=task.name,
        metric=Metric(task.demo.metric.key, task.demo.metric.name, task.demo.metric.scale),
        length=tables.schedule(task),
        unit="iterations",
        seeds=tuple(range(task.seeds)),
        arms=arms,
        searched={arm: "own" if arm == plan.PLAIN or arm.endswith(OWN) else "plain" for arm in arms},
        chosen_on="validation images",
        judged_on="validation images",
        teacher=task.config(plan.TEACHER),
        teacher_metric=None if teacher is None else teacher.metric,
        teacher_parameters=None if teacher is None else teacher.parameters,
        learning_rate=rates,
        selected_on_judged=True,
        time_step=plan.TIME_STEP,
        time_up=False,
    )
    return rows, setting


def _arm(row: store.Row, task: plan.Task, factor: float) -> str:
    tuned = row.method in task.tuned and row.purpose != plan.TIMING
    return row.method + OWN if tuned and (row.purpose == plan.SEARCH or row.lr_factor != factor) else row.method


def _config(task: plan.Task, arm: str):
    return load_config(str(tables.CONFIGS / task.config(arm.removesuffix(OWN))))


def _row(row: store.Row, arm: str) -> Row:
    return Row(
        *(PURPOSES[row.purpose], arm, row.seed, row.iterations, row.lr_factor, 1.0, row.metric),
        teacher_metric=row.teacher_metric,
        iteration_ms=row.iteration_ms,
        iterations=row.iterations,
        parameters=row.parameters,
        finished=row.finished,
        device="cpu",
        torch=row.torch,
    )
