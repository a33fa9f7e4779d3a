"""The figures of a report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from mmdist.engine.gap.findings import SIDES, Calibration, ClassGap
from mmdist.engine.gap.gradients import PartGradients

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COLORS = {"teacher": "C0", "student": "C1"}
MOST_CLASSES = 30


def class_bars(classes: Sequence[ClassGap], metric: str) -> Figure:
    """Both models' metric of each class, the largest gap at the top.

    Args:
        classes (Sequence[ClassGap]): Sorted; no more than the first 30 that have data are drawn.
        metric (str): Its name.

    Returns:
        Figure: In percent.
    """
    from matplotlib.figure import Figure

    drawn = [c for c in classes if c.scores.gap is not None][:MOST_CLASSES]
    figure = Figure(figsize=(6.4, 1.2 + 0.34 * max(len(drawn), 2)), layout="constrained")
    axes = figure.add_subplot()
    for offset, side in zip((-0.2, 0.2), SIDES, strict=True):
        values = [100 * (getattr(c.scores, side) or 0.0) for c in drawn]
        places = [index + offset for index in range(len(drawn))]
        axes.barh(places, values, height=0.4, color=COLORS[side], label=side)
    axes.set_yticks(range(len(drawn)), [c.name for c in drawn])
    axes.invert_yaxis()
    axes.set_xlabel(f"{metric} (%)")
    axes.spines[["top", "right"]].set_visible(False)
    figure.legend(loc="outside upper center", ncols=2, frameon=False)
    return figure


def reliability(calibration: Mapping[str, Calibration]) -> Figure:
    """How often predictions of each confidence are right; below the diagonal a model is too sure of itself.

    Args:
        calibration (Mapping[str, Calibration]): Of each model.

    Returns:
        Figure: The size of a point grows with the number of predictions.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4.6, 4.4), layout="constrained")
    axes = figure.add_subplot()
    axes.plot([0, 1], [0, 1], color="0.7", linewidth=1)
    for side, found in calibration.items():
        most = max((entry.count for entry in found.bins), default=1)
        error = "" if found.error is None else f", ECE {100 * found.error:.1f} %"
        axes.plot([b.confidence for b in found.bins], [b.correct for b in found.bins], color=COLORS[side], linewidth=1)
        axes.scatter(
            [b.confidence for b in found.bins],
            [b.correct for b in found.bins],
            s=[12 + 90 * b.count / most for b in found.bins],
            color=COLORS[side],
            label=f"{side}{error}",
        )
    axes.set(xlim=(0, 1), ylim=(0, 1), xlabel="confidence", ylabel="share that is right", aspect="equal")
    axes.spines[["top", "right"]].set_visible(False)
    figure.legend(loc="outside upper center", ncols=2, frameon=False)
    return figure


def cosine_bars(parts: Mapping[str, PartGradients]) -> Figure:
    """The cosine of the two gradients in each part of the student: mean, and range over the batches.

    Args:
        parts (Mapping[str, PartGradients]): Parts without a cosine are left out.

    Returns:
        Figure: From -1 (against each other) to 1 (the same way).
    """
    from matplotlib.figure import Figure

    drawn = {name: part for name, part in parts.items() if part.cosines}
    figure = Figure(figsize=(6.4, 1.2 + 0.3 * max(len(drawn), 2)), layout="constrained")
    axes = figure.add_subplot()
    for index, part in enumerate(drawn.values()):
        mean = sum(part.cosines) / len(part.cosines)
        axes.barh(index, mean, height=0.6, color="C2" if mean >= 0 else "C3")
        axes.plot([min(part.cosines), max(part.cosines)], [index, index], color="0.2", linewidth=1.2)
    axes.set_yticks(range(len(drawn)), list(drawn))
    axes.invert_yaxis()
    axes.axvline(0, color="0.5", linewidth=0.8)
    axes.set_xlim(-1, 1)
    axes.set_xlabel("cosine of distillation and task gradient")
    axes.spines[["top", "right"]].set_visible(False)
    return figure
