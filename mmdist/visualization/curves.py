"""How trainings went: the loss and the validations over the iterations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure


@dataclass(frozen=True)
class Curve:
    """One training.

    Args:
        loss (np.ndarray): (iterations,).
        validations (Mapping[int, float]): The metric by iteration.
    """

    loss: np.ndarray
    validations: Mapping[int, float]


def smooth(values: np.ndarray, window: int) -> np.ndarray:
    """Mean over the last ``window`` values, fewer at the beginning.

    Args:
        values (np.ndarray): (N,).
        window (int): At least 1.

    Returns:
        np.ndarray: (N,) float64.

    Example:
        >>> smooth(np.array([1.0, 3.0, 5.0]), 2).tolist()
        [1.0, 2.0, 4.0]
    """
    values = np.asarray(values, dtype=np.float64)
    return np.array([values[max(0, end - window) : end].mean() for end in range(1, len(values) + 1)])


def training_curves(
    curves: Mapping[str, Curve], *, metric: str, loss: str = "loss", colors: Sequence[str] | None = None
) -> Figure:
    """Losses on the left, validations on the right.

    Args:
        curves (Mapping[str, Curve]): By the training's name.
        metric (str): Label of the right axis.
        loss (str): Label of the left axis.
        colors (Sequence[str], optional): One a training.

    Returns:
        Figure: The losses are means over a fiftieth of the longest training.

    Example:
        >>> figure = training_curves({'student': Curve(np.ones(10), {5: 20.0, 10: 30.0})}, metric='mIoU (%)')
        >>> [axes.get_ylabel() for axes in figure.axes]
        ['loss', 'mIoU (%)']
    """
    figure = Figure(figsize=(9, 3.4), layout="constrained")
    left, right = figure.subplots(1, 2)
    palette = list(colors) if colors else [f"C{index}" for index in range(len(curves))]
    window = max([1, *(len(curve.loss) // 50 for curve in curves.values())])
    for (name, curve), color in zip(curves.items(), palette, strict=True):
        left.plot(np.arange(1, len(curve.loss) + 1), smooth(curve.loss, window), color=color, label=name)
        right.plot(list(curve.validations), list(curve.validations.values()), color=color, marker="o", markersize=4)
    left.set_ylabel(loss)
    right.set_ylabel(metric)
    right.set_ylim(bottom=0)
    for axes in (left, right):
        axes.set_xlabel("iteration")
        axes.grid(alpha=0.3)
        axes.spines[["top", "right"]].set_visible(False)
    if curves:
        figure.legend(loc="outside lower center", ncols=max(len(curves), 1), frameon=False)
    return figure
