"""Images side by side, with boxes and captions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

SIDE = 1.9  # inches


@dataclass(frozen=True)
class Box:
    """A box on an image.

    Args:
        corners (tuple[float, float, float, float]): Left, top, right, bottom in pixels.
        text (str): What stands at its upper edge.
        color (tuple[float, float, float]): RGB, 0 to 1.
    """

    corners: tuple[float, float, float, float]
    text: str = ""
    color: tuple[float, float, float] = (1.0, 0.2, 0.2)


@dataclass(frozen=True)
class Panel:
    """One image of a grid.

    Args:
        image (np.ndarray): (H, W, 3) uint8.
        boxes (Sequence[Box]): Drawn over it.
        caption (str): Below it.
    """

    image: np.ndarray
    boxes: Sequence[Box] = field(default=())
    caption: str = ""


def panel_grid(rows: Sequence[Sequence[Panel]], titles: Sequence[str] = ()) -> Figure:
    """A table of images.

    Args:
        rows (Sequence[Sequence[Panel]]): At least one; short rows leave places empty.
        titles (Sequence[str]): Above the columns.

    Returns:
        Figure: Save it with ``figure.savefig(path)``.

    Raises:
        ValueError: There is nothing to show.

    Example:
        >>> grey = np.full((8, 8, 3), 128, np.uint8)
        >>> figure = panel_grid([[Panel(grey), Panel(grey, [Box((1, 1, 5, 5), '7')])]], ['image', 'boxes'])
        >>> [axes.get_title() for axes in figure.axes]
        ['image', 'boxes']
    """
    columns = max((len(row) for row in rows), default=0)
    if not columns:
        raise ValueError("rows: expected at least one panel")
    lines = max(panel.caption.count("\n") + bool(panel.caption) for row in rows for panel in row)
    below = 0.15 * (1 + max(lines, 2)) if lines else 0.0
    above = 0.15 * (2 + max(title.count("\n") for title in titles)) if titles else 0.0
    size = (SIDE * columns, (SIDE + below) * len(rows) + above)
    figure = Figure(figsize=size, layout="constrained")
    grid = figure.subplots(len(rows), columns, squeeze=False)
    for axes in grid.flat:
        axes.set_axis_off()
    for row, places in zip(rows, grid, strict=True):
        for panel, axes in zip(row, places, strict=False):
            _draw(panel, axes)
    for title, axes in zip(titles, grid[0], strict=False):
        axes.set_title(title, fontsize=10)
    return figure


def _draw(panel: Panel, axes: Axes) -> None:
    axes.imshow(panel.image, interpolation="nearest")
    for box in panel.boxes:
        left, top, right, bottom = box.corners
        axes.add_patch(Rectangle((left, top), right - left, bottom - top, fill=False, edgecolor=box.color, linewidth=1))
        label = {"facecolor": box.color, "edgecolor": "none", "pad": 0.6, "alpha": 0.8}
        side = "bottom" if top > 0.08 * len(panel.image) else "top"  # above the box, if there is room
        if box.text:
            axes.text(left, top, box.text, fontsize=5, color="black", va=side, bbox=label, clip_on=True)
    if panel.caption:
        axes.text(0.5, -0.04, panel.caption, fontsize=8, ha="center", va="top", transform=axes.transAxes)
