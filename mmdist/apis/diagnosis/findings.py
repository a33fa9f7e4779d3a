"""What is wrong, from what was measured, and what to do about it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from mmdist.apis.diagnosis.input_variants import REVERSED
from mmdist.apis.diagnosis.losses import TASK, Losses, LossRow
from mmdist.apis.diagnosis.measures import Measured, at_chance, clearly_better, mean_recall
from mmdist.apis.diagnosis.models import Weights
from mmdist.apis.diagnosis.permutation import Permutation, find_permutation
from mmdist.apis.diagnosis.predictions import Predictions
from mmdist.apis.diagnosis.steps import Steps
from mmdist.errors import printable

UNSURE = 0.1  # a confidence below this is that of a model which was never trained
LOW_AP = 0.05  # a detector below this AP50 teaches nothing
CLEAR = 0.02  # of the metric: what another way to prepare images has to bring
DECENT = 0.15  # between chance (0) and perfect (1): what it has to reach where the teacher knows nothing as it is
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


def hopeless(measured: Measured, images: int) -> bool:
    """Whether predictions are no better than chance.

    Args:
        measured (Measured): Of one model.
        images (int): How many images.

    Returns:
        bool: Also for scores that are nearly the same for all classes: by luck these may hit some.
    """
    if measured.value is None:
        return False
    if measured.metric == "AP50":
        return measured.value < LOW_AP
    unsure = measured.confidence is not None and measured.confidence < UNSURE
    return unsure or at_chance(measured.confusion, images)


def unexplained(measured: Measured, images: int) -> bool:
    """Whether predictions are no better than chance, and another order of the classes does not say why.

    Args:
        measured (Measured): Of one model.
        images (int): How many images.
    """
    return hopeless(measured, images) and find_permutation(measured.halves, measured.numbers) is None


def of_teacher(weights: Weights, predicted: Predictions) -> Iterator[Finding]:
    """What is wrong with the teacher.

    Args:
        weights (Weights): Where its weights come from.
        predicted (Predictions): What it predicts.

    Yields:
        Finding: Random weights; else images prepared in another way than it knows them, classes in another order, or
        predictions at chance for a reason that is not known.
    """
    if weights.taught:
        yield Finding(
            "random-teacher",
            True,
            f"{len(weights.random)} parts of the teacher have random weights: {_listed(weights.random)}",
            "give its weights with --teacher-ckpt CKPT (model.teacher_ckpt), and leave out model.random_teacher",
        )
        return
    measured = predicted.measured.get("teacher")
    if measured is None or measured.value is None:
        return
    lost = hopeless(measured, predicted.images)
    unsure = measured.confidence is not None and measured.confidence < UNSURE
    variant = best_variant(measured, predicted.variants, predicted.images)
    order = None if unsure else find_permutation(measured.halves, measured.numbers)
    if variant and not (order and order.after > (mean_recall(predicted.variants[variant].confusion) or 0) + CLEAR):
        yield _prepared(variant, measured, predicted.variants[variant], order, predicted.classes)
    elif order:
        yield _ordered(order, predicted.classes)
    elif lost:
        guess = "" if measured.metric == "AP50" else f", and guesses as frequent as its own {_share(measured.chance)}"
        sure = ", and its scores are nearly the same for all classes" if unsure else ""
        yield Finding(
            "random-teacher",
            True,
            f"the teacher is no better than chance: {measured.metric} {_share(measured.value)}{guess}{sure}",
            "check that --teacher-ckpt is a trained checkpoint of the teacher's config, and that it was trained on "
            "these classes",
        )


def best_variant(measured: Measured, variants: dict[str, Measured], images: int) -> str | None:
    """The way to prepare the teacher's images that is clearly better than its config's; None: its config is right.

    A teacher that was hardly trained is a little better in some way too, by luck and on every image. So where it is at
    chance as it is, the other way has to be good, not just better.

    Args:
        measured (Measured): As the config has it.
        variants (dict[str, Measured]): By name.
        images (int): How many they are of.

    Returns:
        str | None: The best of those that are better beyond chance.
    """
    if measured.value is None:
        return None
    lost, found = hopeless(measured, images), {}
    for name, other in variants.items():
        if other.value is None or other.value - measured.value < CLEAR or hopeless(other, images):
            continue
        reached = (other.value - other.chance) / max(1 - other.chance, 1e-9)
        if (not lost or reached >= DECENT) and clearly_better(measured.scores, other.scores):
            found[name] = other.value
    return max(found, key=lambda name: found[name]) if found else None


def of_comparison(predicted: Predictions) -> Iterator[Finding]:
    """Whether the teacher has something to teach.

    Args:
        predicted (Predictions): Of both models.

    Yields:
        Finding: A student that is as good already.
    """
    teacher, student = (predicted.measured.get(side) for side in ("teacher", "student"))
    if teacher is None or student is None or teacher.value is None or student.value is None:
        return
    if teacher.value <= student.value:
        yield Finding(
            "teacher-not-better",
            False,
            f"the student has {student.metric} {_share(student.value)} already, the teacher {_share(teacher.value)}",
            "take a better teacher, or look again on more images (--images)",
        )


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
        what = f"the optimizer does not have {len(absent)} of the {side}'s parameters: {_listed(absent)}"
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
            f"{_share(steps.waiting / whole)} of an iteration is spent waiting for data",
            f"train_dataloader.num_workers = {min(wanted, 16)} instead of {steps.workers}, as far as there are CPUs; "
            "smaller images on disk",
        )


def _weight(row: LossRow, ratio: float) -> str:
    """The weight that brings the ratio to 1."""
    factor = 1 / ratio
    return f"its weight times {factor:.2g}" if row.weight is None else f"loss_weight={row.weight * factor:.2g}"


def _prepared(
    variant: str, measured: Measured, other: Measured, order: Permutation | None, classes: list[str]
) -> Finding:
    what = (
        f"the teacher's {measured.metric} rises from {_share(measured.value)} to {_share(other.value)} with "
        f"{'the channels of its images reversed (BGR for RGB)' if variant == REVERSED else variant}"
    )
    if order:
        what += f"; another order of the classes explains it too ({_moves(order.moved, classes)})"
    if variant == REVERSED:
        advice = "the teacher was trained on the other order: turn bgr_to_rgb (to_rgb) of its data_preprocessor around"
        return Finding("teacher-channels", True, what, advice)
    advice = "set mean and std of the teacher's data_preprocessor to those that it was trained with"
    return Finding("teacher-normalisation", True, what, advice)


def _ordered(order: Permutation, classes: list[str]) -> Finding:
    return Finding(
        "permuted-classes",
        True,
        f"the teacher has {len(order.moved)} classes under other numbers: {_moves(order.moved, classes)}; read so, the "
        f"mean recall of the classes is {_share(order.after)} instead of {_share(order.before)}",
        "bring the classes of the student's data (metainfo.classes) into the order that the teacher was trained with",
    )


def _moves(moved: dict[int, int], classes: list[str]) -> str:
    def name(index: int) -> str:
        return f" {printable(classes[index], 40)!r}" if index < len(classes) else ""

    pairs = list(moved.items())[:SHOWN]
    shown = [f"{own}{name(own)} is the teacher's {other} (here{name(other) or ' none'})" for own, other in pairs]
    more = f" and {len(moved) - SHOWN} more" if len(moved) > SHOWN else ""
    return ", ".join(shown) + more


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(printable(name) for name in names[:SHOWN]) + more


def _share(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.1f} %"
