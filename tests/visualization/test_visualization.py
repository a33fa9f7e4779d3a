"""Figures from arrays, looked at through what matplotlib was told to draw."""

from __future__ import annotations

import math

import numpy as np
import pytest

from mmdist.visualization import Curve, Panel, class_colors, metric_bars, overlay_mask, panel_grid, training_curves
from mmdist.visualization.curves import smooth
from mmdist.visualization.panels import Box

GREY = np.full((40, 60, 3), 100, np.uint8)


def test_each_model_has_a_bar_as_high_as_its_metric(tmp_path):
    figure = metric_bars({"teacher": 66.9, "student": 10.4}, metric="mIoU (%)", colors=["red", "blue"])
    axes = figure.axes[0]
    assert [bar.get_height() for bar in axes.patches] == [66.9, 10.4]
    assert [text.get_text() for text in axes.texts] == ["66.9", "10.4"]
    assert [tick.get_text() for tick in axes.get_xticklabels()] == ["teacher", "student"]
    figure.savefig(tmp_path / "bars.png")
    assert (tmp_path / "bars.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("values", [{"teacher": math.nan, "student": 3.0}, {"teacher": 0.0}, {}])
def test_bars_can_be_drawn_of_what_a_failed_training_leaves(values, tmp_path):
    metric_bars(values, metric="mAP (%)").savefig(tmp_path / "bars.png")


def test_curves_show_losses_and_validations_at_their_iterations(tmp_path):
    long = Curve(np.linspace(2, 1, 100), {50: 10.0, 100: 30.0})
    short = Curve(np.linspace(2, 1, 40), {40: 20.0})
    figure = training_curves({"long": long, "short": short}, metric="mIoU (%)", loss="task loss")
    left, right = figure.axes
    assert [line.get_xdata()[-1] for line in left.lines] == [100, 40]
    assert [list(line.get_xdata()) for line in right.lines] == [[50, 100], [40]]
    assert [list(line.get_ydata()) for line in right.lines] == [[10.0, 30.0], [20.0]]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["long", "short"]
    figure.savefig(tmp_path / "curves.png")


def test_a_training_without_validations_can_be_drawn(tmp_path):
    training_curves({"student": Curve(np.ones(1), {})}, metric="mAP (%)").savefig(tmp_path / "curves.png")


def test_smoothing_is_the_mean_of_the_last_values():
    values = np.random.default_rng(0).normal(size=50)
    found = smooth(values, 7)
    for index in range(50):
        assert found[index] == pytest.approx(np.mean(values[max(0, index - 6) : index + 1]))
    assert np.array_equal(smooth(values, 1), values)


def test_a_mask_paints_its_classes_and_leaves_the_rest():
    labels = np.array([[0, 1, 2, 255]])
    image = np.full((1, 4, 3), 100, np.uint8)
    painted = overlay_mask(image, labels, [(0, 0, 0), (200, 0, 0), (0, 200, 0)], opacity=0.5, unpainted=[0])
    assert painted.tolist() == [[[100, 100, 100], [150, 50, 50], [50, 150, 50], [100, 100, 100]]]
    assert (image == 100).all()


def test_a_mask_of_another_size_is_refused_with_both_sizes():
    with pytest.raises(ValueError, match=r"labels: expected the shape \(40, 60\) of the image, got \(20, 30\)"):
        overlay_mask(GREY, np.zeros((20, 30), int), [(0, 0, 0)])


def test_class_colors_differ():
    assert len(set(class_colors(80))) == 80 and class_colors(0) == []


def test_panels_stand_in_rows_under_their_titles_with_their_boxes(tmp_path):
    box = Box((10, 20, 30, 35), "7 0.90", (0.0, 1.0, 0.0))
    figure = panel_grid([[Panel(GREY), Panel(GREY, [box, box])], [Panel(GREY, caption="is 7")]], ["image", "teacher"])
    first, second, third, empty = figure.axes
    assert [axes.get_title() for axes in (first, second)] == ["image", "teacher"]
    assert [len(axes.images) for axes in figure.axes] == [1, 1, 1, 0] and not empty.texts
    drawn = second.patches[0]
    assert len(second.patches) == 2 and not first.patches
    assert (drawn.get_xy(), drawn.get_width(), drawn.get_height()) == ((10, 20), 20, 15)
    assert second.texts[0].get_text() == "7 0.90" and third.texts[0].get_text() == "is 7"
    figure.savefig(tmp_path / "panels.png")


@pytest.mark.parametrize("rows", [[], [[]]])
def test_a_grid_of_nothing_is_refused(rows):
    with pytest.raises(ValueError, match="at least one panel"):
        panel_grid(rows)


def test_drawing_changes_nothing_for_the_users_own_figures():
    import matplotlib
    from matplotlib import pyplot

    backend, before = matplotlib.get_backend(), pyplot.get_fignums()
    metric_bars({"student": 1.0}, metric="mIoU (%)")
    panel_grid([[Panel(GREY)]])
    assert (matplotlib.get_backend(), pyplot.get_fignums()) == (backend, before)
