"""Bars of one metric."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure


def metric_bars(values: Mapping[str, float], *, metric: str, colors: Sequence[str] | None = None) -> Figure:
    """One bar a model, with its value above it.

    Args:
        values (Mapping[str, float]): By the model's name; a value that is not a number has no bar.
        metric (str): The axis' label, with its unit.
        colors (Sequence[str], optional): One a bar; matplotlib's own by default.

    Returns:
        Figure: Save it with ``figure.savefig(path)``.

    Example:
        >>> metric_bars({'teacher': 60.0, 'student': 40.0}, metric='mIoU (%)').axes[0].get_ylabel()
        'mIoU (%)'
    """
    figure = Figure(figsize=(1.2 + 1.35 * max(len(values), 2), 3.4), layout="constrained")
    axes = figure.add_subplot()
    palette = list(colors) if colors else [f"C{index}" for index in range(len(values))]
    drawn = axes.bar(range(len(values)), list(values.values()), color=palette, width=0.7)
    axes.bar_label(drawn, labels=[f"{value:.1f}" for value in values.values()], padding=2)
    axes.set_xticks(range(len(values)), list(values))
    axes.set_ylabel(metric)
    axes.margins(y=0.12)
    axes.set_ylim(bottom=0)
    axes.spines[["top", "right"]].set_visible(False)
    return figure
