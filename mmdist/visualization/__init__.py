"""Figures: pure functions from arrays to matplotlib figures. Nothing here opens a window or keeps a state."""

from mmdist.visualization.bars import metric_bars
from mmdist.visualization.curves import Curve, training_curves
from mmdist.visualization.paint import class_colors, overlay_mask
from mmdist.visualization.panels import Panel, panel_grid

__all__ = ["Curve", "Panel", "class_colors", "metric_bars", "overlay_mask", "panel_grid", "training_curves"]
