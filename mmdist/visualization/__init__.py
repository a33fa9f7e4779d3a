"""Figures: pure functions from arrays to matplotlib figures. Nothing here opens a window or keeps a state."""

from mmdist.visualization.bars import metric_bars
from mmdist.visualization.curves import Curve, training_curves
from mmdist.visualization.paint import class_colors, overlay_mask
from mmdist.visualization.panels import Panel, panel_grid
from mmdist.visualization.raster import figure_pixels, heat_map

__all__ = [
    "Curve",
    "Panel",
    "class_colors",
    "figure_pixels",
    "heat_map",
    "metric_bars",
    "overlay_mask",
    "panel_grid",
    "training_curves",
]
