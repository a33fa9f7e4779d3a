"""The report's figures: from results to image files."""

from __future__ import annotations

from pathlib import Path

from mmdist.apis.comparison.image_panels import SCORE, boxes, labels, masks
from mmdist.apis.comparison.predictions import load
from mmdist.cli.demo.results import Results
from mmdist.visualization import Curve, metric_bars, training_curves

COLORS = {"teacher": "#4c566a", "plain": "#8fb8de", "plain_equal_time": "#2f6ea5", "distilled": "#d9822b"}
COLUMNS = {"teacher": "teacher", "plain": "plain student", "distilled": "distilled student"}
LABELS = {"teacher": "teacher", "plain": "plain", "distilled": "distilled"}  # in a caption there is less room


def write_figures(results: Results, predictions: Path, folder: Path) -> dict[str, str]:
    """Draw all figures of a report.

    Args:
        results (Results): The numbers.
        predictions (Path): File of :mod:`mmdist.apis.comparison.predictions`.
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
    panels = {"seg": masks, "det": boxes, "cls": labels}[results.demo.task](
        records, meta["classes"], meta["palette"], LABELS if results.demo.task == "cls" else COLUMNS
    )
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
