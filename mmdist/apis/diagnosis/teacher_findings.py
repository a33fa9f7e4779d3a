"""What is wrong with the teacher, from what it predicts."""

from __future__ import annotations

from collections.abc import Iterator

from mmdist.apis.diagnosis.findings import SHOWN, Finding, listed, share
from mmdist.apis.diagnosis.input_variants import REVERSED
from mmdist.apis.diagnosis.measures import Measured, at_chance, clearly_better, mean_recall
from mmdist.apis.diagnosis.models import Weights
from mmdist.apis.diagnosis.permutation import Permutation, find_permutation
from mmdist.apis.diagnosis.predictions import Predictions
from mmdist.errors import printable

UNSURE = 0.1  # a confidence below this is that of a model which was never trained
LOW_AP = 0.05  # a detector below this AP50 teaches nothing
CLEAR = 0.02  # of the metric: what another way to prepare images has to bring
DECENT = 0.15  # between chance (0) and perfect (1): what it has to reach where the teacher knows nothing as it is


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
            f"{len(weights.random)} parts of the teacher have random weights: {listed(weights.random)}",
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
        guess = "" if measured.metric == "AP50" else f", and guesses as frequent as its own {share(measured.chance)}"
        sure = ", and its scores are nearly the same for all classes" if unsure else ""
        yield Finding(
            "random-teacher",
            True,
            f"the teacher is no better than chance: {measured.metric} {share(measured.value)}{guess}{sure}",
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
            f"the student has {student.metric} {share(student.value)} already, the teacher {share(teacher.value)}",
            "take a better teacher, or look again on more images (--images)",
        )


def _prepared(
    variant: str, measured: Measured, other: Measured, order: Permutation | None, classes: list[str]
) -> Finding:
    what = (
        f"the teacher's {measured.metric} rises from {share(measured.value)} to {share(other.value)} with "
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
        f"mean recall of the classes is {share(order.after)} instead of {share(order.before)}",
        "bring the classes of the student's data (metainfo.classes) into the order that the teacher was trained with",
    )


def _moves(moved: dict[int, int], classes: list[str]) -> str:
    def name(index: int) -> str:
        return f" {printable(classes[index], 40)!r}" if index < len(classes) else ""

    pairs = list(moved.items())[:SHOWN]
    shown = [f"{own}{name(own)} is the teacher's {other} (here{name(other) or ' none'})" for own, other in pairs]
    more = f" and {len(moved) - SHOWN} more" if len(moved) > SHOWN else ""
    return ", ".join(shown) + more
