"""Numbers and figures as pixels."""

from __future__ import annotations

import numpy as np
from matplotlib import colormaps

from mmdist.visualization import Panel, figure_pixels, heat_map, panel_grid

DARK, LIGHT = (np.array(colormaps["viridis"](end, bytes=True)[:3]) for end in (0.0, 1.0))


def test_the_lightest_is_the_largest_or_what_is_given() -> None:
    values = np.array([[0.0, 0.5], [-1.0, 1.0]])
    free, given = heat_map(values), heat_map(values, high=2.0)
    assert np.array_equal(free[0, 0], DARK)
    assert np.array_equal(free[1, 0], DARK)
    assert np.array_equal(free[1, 1], LIGHT)
    assert np.array_equal(given[1, 1], free[0, 1])


def test_zeros_are_dark_and_what_is_no_number_is_red() -> None:
    assert (heat_map(np.zeros((2, 3))) == DARK).all()
    painted = heat_map(np.array([[np.inf, np.nan, 1.0]]))
    assert painted[0, :2].tolist() == [[255, 0, 0]] * 2
    assert np.array_equal(painted[0, 2], LIGHT)


def test_a_figure_has_its_size_in_pixels_and_what_was_drawn() -> None:
    figure = panel_grid([[Panel(np.full((4, 4, 3), 7, np.uint8))]])
    pixels = figure_pixels(figure, dpi=50)
    width, height = (round(50 * side) for side in figure.get_size_inches())
    assert abs(pixels.shape[0] - height) <= 1
    assert abs(pixels.shape[1] - width) <= 1
    assert (pixels == 7).all(-1).mean() > 0.5
