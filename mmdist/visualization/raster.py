"""Pixels: of numbers, and of figures."""

from __future__ import annotations

import numpy as np
from matplotlib import colormaps
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure


def heat_map(values: np.ndarray, high: float | None = None) -> np.ndarray:
    """Dark where a number is 0 or below, light where it is high.

    Args:
        values (np.ndarray): (H, W); a number that is not finite is drawn in red.
        high (float, optional): What is drawn lightest. Defaults to the largest.

    Returns:
        np.ndarray: (H, W, 3) uint8.

    Example:
        >>> heat_map(np.array([[0.0, 2.0, np.nan]]))
        array([[[ 68,   1,  84],
                [253, 231,  36],
                [255,   0,   0]]], dtype=uint8)
    """
    values = np.asarray(values, dtype=np.float64)
    finite = np.isfinite(values)
    if high is None:
        high = float(values[finite].max(initial=0.0))
    painted = colormaps["viridis"](np.where(finite, values, 0.0).clip(0, None) / (high or 1.0), bytes=True)[..., :3]
    return np.where(finite[..., None], painted, np.array([255, 0, 0], dtype=np.uint8))


def figure_pixels(figure: Figure, dpi: int = 120) -> np.ndarray:
    """Draw a figure.

    Args:
        figure (Figure): From one of this package's functions.
        dpi (int): Pixels an inch. Defaults to 120.

    Returns:
        np.ndarray: (H, W, 3) uint8.

    Example:
        >>> figure_pixels(Figure(figsize=(2, 1)), dpi=10).shape
        (10, 20, 3)
    """
    figure.set_dpi(dpi)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()
