"""The report's figures: from results to image files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from mmdist.cli.demo.predictions import Record, load
from mmdist.cli.demo.results import Results
from mmdist.visualization import Curve, Panel, class_colors, metric_bars, overlay_mask, panel_grid, training_curves
from mmdist.visualization.panels import Box

COLORS = {"teacher": "#4c566a", "plain": "#8fb8de", "plain_equal_time": "#2f6ea5", "distilled": "#d9822b"}
COLUMNS = {"teacher": "teacher", "plain": "plain student", "distilled": "distilled student"}
SCORE = 0.3  # boxes below it are not drawn
PER_ROW = 6


def write_figures(results: Results, predictions: Path, folder: Path) -> dict[str, str]:
    """Draw all figures of a report.

    Args:
        results (Results): The numbers.
        predictions (Path): File of :mod:`mmdist.cli.demo.predictions`.
        folder (Path): Where the images go.

    Returns:
        dict[str, str]: Caption by file name, in the order of the report.
    """
    meta, records = load(predictions)
    unit = f"{results.demo.metric.name} (%)"
    ordered = [results.teacher, results.plain, results.longer, results.distilled]
    names = [trained.training.label for trained in ordered]
    colors = [COLORS[trained.training.name] for trained in ordered]
    values = dict(zip([name.replace(", ", ",\n") for name in names], [t.metric for t in ordered], strict=True))
    curves = [Curve(trained.history.loss, trained.validations) for trained in ordered]
    captions = {
        "seg": "Validation images, evenly spaced in the set; ignored pixels are not painted.",
        "det": f"Validation images, evenly spaced in the set; boxes with a score of at least {SCORE}.",
        "cls": "Validation images on which the two students differ, evenly spaced among all of these.",
    }
    draw = {"seg": masks, "det": boxes, "cls": labels}[results.demo.task]
    panels = draw(records, meta["classes"], meta["palette"])
    figures = {
        "metric.png": (metric_bars(values, metric=unit, colors=colors), f"{unit} of the last checkpoints."),
        "curves.png": (
            training_curves(
                dict(zip(names, curves, strict=True)), metric=unit, loss="task loss, training", colors=colors
            ),
            "Training: the task's own loss (without what distillation adds), and the validations.",
        ),
        "panels.png": (panels, captions[results.demo.task]),
    }
    for name, (figure, _) in figures.items():
        figure.savefig(folder / name, dpi=150)
    return {name: caption for name, (_, caption) in figures.items()}


def colors_of(classes: list[str], palette: list[list[int]] | None) -> Sequence[Sequence[int]]:
    """The data set's colours, unless they are those that its class has for other classes."""
    return palette if palette and len(palette) == len(classes) else class_colors(len(classes))


def masks(records: list[Record], classes: list[str], palette: list[list[int]] | None) -> Figure:
    """Image, ground truth and each model's label map."""
    colors = colors_of(classes, palette)
    hidden = [index for index, name in enumerate(classes) if name == "background"]
    rows = [
        [Panel(record["image"])]
        + [Panel(overlay_mask(record["image"], record[name], colors, unpainted=hidden)) for name in ("truth", *COLUMNS)]
        for record in records
    ]
    return panel_grid(rows, ["image", "ground truth", *COLUMNS.values()])


def boxes(records: list[Record], classes: list[str], palette: list[list[int]] | None) -> Figure:
    """Image, ground truth and each model's boxes."""
    colors = colors_of(classes, palette)

    def drawn(found: np.ndarray, *, scores: bool) -> list[Box]:
        kept = []
        for *corners, label, score in found.tolist():
            if score >= SCORE:
                words = [classes[int(label)]] if len(classes) > 1 else []  # one name on every box says nothing
                words += [f"{score:.2f}"] if scores else []
                kept.append(Box(tuple(corners), " ".join(words), tuple(part / 255 for part in colors[int(label)])))
        return kept

    rows = [
        [Panel(record["image"]), Panel(record["image"], drawn(record["truth"], scores=False))]
        + [Panel(record["image"], drawn(record[name], scores=True)) for name in COLUMNS]
        for record in records
    ]
    return panel_grid(rows, ["image", "ground truth", *COLUMNS.values()])


def labels(records: list[Record], classes: list[str] | None, palette: object = None) -> Figure:
    """Images with what they are and what each model takes them for."""

    def text(record: Record) -> str:
        said = {name: int(record[name]) for name in ("truth", *COLUMNS)}
        named = {name: classes[label] if classes else str(label) for name, label in said.items()}
        return (
            f"is {named['truth']}; teacher {named['teacher']}\nplain {named['plain']}, distilled {named['distilled']}"
        )

    panels = [Panel(record["image"], caption=text(record)) for record in records]
    return panel_grid([panels[start : start + PER_ROW] for start in range(0, len(panels), PER_ROW)])
