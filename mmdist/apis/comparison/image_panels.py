"""Images with the ground truth and what each model says: masks, boxes or labels."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure

from mmdist.apis.comparison.formatting import figure_text
from mmdist.errors import printable
from mmdist.visualization import Panel, class_colors, overlay_mask, panel_grid
from mmdist.visualization.panels import Box

Record = Mapping[str, np.ndarray]
TRUTH = "truth"
SCORE = 0.3  # boxes below it are not drawn
PER_ROW = 6
TITLE_WIDTH, NAME_WIDTH, CLASS_WIDTH, LINE_WIDTH = 18, 14, 16, 30  # characters


@dataclass(frozen=True)
class Panels:
    """What some models say about some images.

    Args:
        task (str): ``seg``, ``det`` or ``cls``.
        records (Sequence[Record]): One an image: ``image`` (H, W, 3) uint8, and for ``truth`` and each model a label
            map (H, W), boxes (K, 6) with corners, label and score, or a label ().
        models (Mapping[str, str]): What each model of the records is called, by its name there.
        classes (Sequence[str], optional): Names of the classes.
        palette (Sequence, optional): RGB of the classes, 0 to 255.
        caption (str): Which images these are.
    """

    task: str
    records: Sequence[Record]
    models: Mapping[str, str]
    classes: Sequence[str] | None = None
    palette: Sequence[Sequence[int]] | None = None
    caption: str = ""


def image_panels(panels: Panels) -> Figure | None:
    """Draw them: a row an image, or a grid of classified images.

    Args:
        panels (Panels): What to draw.

    Returns:
        Figure, optional: None without images.

    Example:
        >>> record = {'image': np.zeros((4, 4, 3), np.uint8), 'truth': np.array(1), 'kd': np.array(0)}
        >>> figure = image_panels(Panels('cls', [record], {'kd': 'KD'}, ['cat', 'dog']))
        >>> figure.axes[0].texts[0].get_text()
        'is dog; KD cat'
    """
    if not panels.records:
        return None
    draw = {"seg": masks, "det": boxes, "cls": labels}[panels.task]
    return draw(panels.records, panels.classes, panels.palette, panels.models)


def colors_of(count: int, palette: Sequence[Sequence[int]] | None) -> Sequence[Sequence[int]]:
    """The data set's colours, unless they are those that its class has for other classes."""
    return palette if palette and len(palette) == count else class_colors(count)


def masks(
    records: Sequence[Record],
    classes: Sequence[str] | None,
    palette: Sequence[Sequence[int]] | None,
    models: Mapping[str, str],
) -> Figure:
    """Image, ground truth and each model's label map.

    Args:
        records, classes, palette, models: As in :class:`Panels`.
    """
    names = (TRUTH, *models)
    count = len(classes or palette or ()) or 1 + _largest(record[name] for record in records for name in names)
    colors = colors_of(count, palette)
    hidden = [index for index, name in enumerate(classes or ()) if name == "background"]
    rows = [
        [Panel(record["image"])]
        + [Panel(overlay_mask(record["image"], record[name], colors, unpainted=hidden)) for name in names]
        for record in records
    ]
    return panel_grid(rows, _titles(models))


def boxes(
    records: Sequence[Record],
    classes: Sequence[str] | None,
    palette: Sequence[Sequence[int]] | None,
    models: Mapping[str, str],
) -> Figure:
    """Image, ground truth and each model's boxes.

    Args:
        records, classes, palette, models: As in :class:`Panels`.
    """
    largest = _largest(record[name][:, 4] for record in records for name in (TRUTH, *models))
    count = max(len(classes or ()), 1 + largest)
    colors = colors_of(count, palette)

    def drawn(found: np.ndarray, *, scores: bool) -> list[Box]:
        kept = []
        for *corners, label, score in found.tolist():
            if score >= SCORE:
                # one name on every box says nothing
                words = [_class_name(int(label), classes)] if count > 1 else []
                words += [f"{score:.2f}"] if scores else []
                kept.append(Box(tuple(corners), " ".join(words), tuple(part / 255 for part in colors[int(label)])))
        return kept

    rows = [
        [Panel(record["image"]), Panel(record["image"], drawn(record[TRUTH], scores=False))]
        + [Panel(record["image"], drawn(record[name], scores=True)) for name in models]
        for record in records
    ]
    return panel_grid(rows, _titles(models))


def labels(
    records: Sequence[Record],
    classes: Sequence[str] | None,
    palette: object,
    models: Mapping[str, str],
) -> Figure:
    """Images with what they are and what each model takes them for.

    Args:
        records, classes, models: As in :class:`Panels`.
        palette (object): Not used.
    """

    def text(record: Record) -> str:
        said = [f"is {_class_name(int(record[TRUTH]), classes)}"]
        for name, words in models.items():
            said.append(f"{figure_text(words, NAME_WIDTH)} {_class_name(int(record[name]), classes)}")
        return "\n".join(_filled(said))

    panels = [Panel(record["image"], caption=text(record)) for record in records]
    return panel_grid([panels[start : start + PER_ROW] for start in range(0, len(panels), PER_ROW)])


def _class_name(label: int, classes: Sequence[str] | None) -> str:
    known = classes is not None and 0 <= label < len(classes)
    return figure_text(classes[label] if known else label, CLASS_WIDTH)


def _filled(parts: Sequence[str]) -> list[str]:
    """Lines of parts, as many in each as there is room for."""
    lines = [parts[0]]
    for part in parts[1:]:
        if len(f"{lines[-1]}; {part}") <= LINE_WIDTH:
            lines[-1] += f"; {part}"
        else:
            lines.append(part)
    return lines


def _largest(values: Iterable[np.ndarray]) -> int:
    """The largest label; 255 stands for ignored pixels."""
    return max((int(one[one != 255].max(initial=0)) for one in values), default=0)


def _titles(models: Mapping[str, str]) -> list[str]:
    wrapped = [textwrap.wrap(printable(words), TITLE_WIDTH)[:3] for words in models.values()]
    return ["image", "ground truth", *("\n".join(map(figure_text, lines)) for lines in wrapped)]
