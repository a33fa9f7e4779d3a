"""What is wrong, from what was measured, and what to do about it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from mmdist.apis.diagnosis.losses import TASK, Losses, LossRow
from mmdist.apis.diagnosis.steps import Steps
from mmdist.errors import printable

MUCH, TOO_MUCH, NOTHING = 10.0, 50.0, 1e-3  # times the task loss's gradient
LARGE = 10.0  # times the task loss's value
SHOWN = 8  # classes or parts of a list


@dataclass(frozen=True)
class Finding:
    """Something that is wrong, or may be.

    Args:
        name (str): A word for programs, such as ``random-teacher``.
        serious (bool): The training would be wasted.
        what (str): What was measured.
        advice (str): What to do.
    """

    name: str
    serious: bool
    what: str
    advice: str

    def as_dict(self) -> dict[str, Any]:
        """For programs."""
        return asdict(self)


def of_losses(losses: Losses) -> Iterator[Finding]:
    """Losses that end or rule the training, or do nothing.

    A long gradient alone does not make a loss too large: a correlation such as DIST's has one as long as the student's
    logits are small, which a few iterations change. So its value has to be large too.

    Args:
        losses (Losses): See :func:`mmdist.apis.diagnosis.losses.measure_losses`.

    Yields:
        Finding: NaN or infinity; a gradient much longer than the task loss's; one that is not there.
    """
    task = losses.rows.get(TASK)
    for name, row in losses.rows.items():
        size = row.value / task.value if task is not None and task.value > 0 else float("inf")
        ratio, key = losses.ratio(name), f"model.distiller.distill_losses.{name.removeprefix('distill.')}"
        if not row.finite:
            advice = "look at its inputs and its weight; a lower learning rate does not help in the first iteration"
            yield Finding("loss-not-finite", True, f"{name} is NaN or infinite, or its gradient is", advice)
        elif name == TASK or not losses.any_gradient:
            continue
        elif row.norm == 0 and name.startswith("distill."):
            what = f"{name} ({row.value:.3g}) has no gradient in the student"
            yield Finding("loss-without-gradient", False, what, f"{key}: check its recorders, weight and mask")
        elif ratio is not None and ratio > MUCH and size > LARGE and name.startswith("distill."):
            yield Finding(
                "loss-too-large",
                ratio > TOO_MUCH,
                f"{name} is {size:,.0f} times as large as the task loss, and its gradient {ratio:,.0f} times as long: "
                "the task is not learnt",
                f"{key}: {_weight(row, ratio)} makes both gradients equally long at the start",
            )
        elif ratio is not None and ratio < NOTHING and name.startswith("distill."):
            yield Finding(
                "loss-too-small",
                False,
                f"the gradient of {name} is {ratio:.1g} times as long as the task loss's: it teaches next to nothing",
                f"{key}: {_weight(row, ratio)} makes both gradients equally long at the start",
            )


def of_student(steps: Steps, side: str) -> Iterator[Finding]:
    """What of the student does not learn.

    Parts with a learning rate of 0 or without gradients are often meant so. They are serious where nothing is left.

    Args:
        steps (Steps): See :func:`mmdist.apis.diagnosis.steps.run_steps`.
        side (str): student or model.

    Yields:
        Finding: Nothing moved, or not one parameter of a part did.
    """
    if not steps.fates:
        return
    reasons = sorted({reason for reason in steps.fates.values() if reason != "moved"})
    if "moved" not in steps.fates.values():
        yield Finding(
            "frozen-student",
            True,
            f"no parameter of the {side} moved in the optimizer's steps: {'; '.join(reasons)}",
            "look at optim_wrapper (learning rate, paramwise_cfg), frozen_stages, and model.student_trainable",
        )
        return
    parts: dict[str, list[str]] = {}
    for name, what in steps.fates.items():
        parts.setdefault(name.partition(".")[0], []).append(what)
    for part, fates in parts.items():
        if "moved" not in fates:
            why = max(sorted(set(fates)), key=fates.count)
            advice = "nothing, if that is meant; else look at paramwise_cfg and at what the losses record"
            yield Finding("frozen-part", False, f"nothing of the {side}'s {part} moved: {why}", advice)
    absent = [name for name, what in steps.fates.items() if what.startswith("the optimizer")]
    if absent:
        what = f"the optimizer does not have {len(absent)} of the {side}'s parameters: {listed(absent)}"
        yield Finding("not-optimized", False, what, "look at the `constructor` and the rules of optim_wrapper")


def of_time(steps: Steps) -> Iterator[Finding]:
    """Data that comes slower than it is used.

    Args:
        steps (Steps): See :func:`mmdist.apis.diagnosis.steps.run_steps`.

    Yields:
        Finding: More than a third of an iteration is spent waiting.
    """
    whole = steps.computing + steps.waiting
    if steps.seconds and steps.waiting > whole / 3:
        wanted = max(steps.workers + 1, round(steps.seconds["data"] / max(steps.computing, 1e-6)) + 1)
        yield Finding(
            "data-bottleneck",
            False,
            f"{share(steps.waiting / whole)} of an iteration is spent waiting for data",
            f"train_dataloader.num_workers = {min(wanted, 16)} instead of {steps.workers}, as far as there are CPUs; "
            "smaller images on disk",
        )


def _weight(row: LossRow, ratio: float) -> str:
    """The weight that brings the ratio to 1."""
    factor = 1 / ratio
    return f"its weight times {factor:.2g}" if row.weight is None else f"loss_weight={row.weight * factor:.2g}"


def listed(names: list[str]) -> str:
    """The first names of a list, and how many more there are."""
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(printable(name) for name in names[:SHOWN]) + more


def share(value: float | None) -> str:
    """A share in percent.

    Example:
        >>> share(0.123), share(None)
        ('12.3 %', '-')
    """
    return "-" if value is None else f"{100 * value:.1f} %"
