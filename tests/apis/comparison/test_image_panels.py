"""Images with what any number of models say."""

from __future__ import annotations

import numpy as np
import pytest
from helpers.comparison_rows import HOSTILE

from mmdist.apis.comparison.figures import png_bytes
from mmdist.apis.comparison.image_panels import Panels, image_panels

VALUES = {
    "seg": np.eye(16, dtype=np.uint8),
    "det": np.array([[1, 2, 8, 9, 1, 0.9], [1, 2, 8, 9, 0, 0.1]], np.float32),
    "cls": np.array(1),
}


def panels(task: str, models: dict[str, str], classes=("background", "1"), images: int = 2) -> Panels:
    image = np.full((16, 16, 3), 90, np.uint8)
    record = {"image": image, **{name: VALUES[task] for name in ("truth", *models)}}
    return Panels(task, [record] * images, models, classes)


@pytest.mark.parametrize("task", ["seg", "det"])
@pytest.mark.parametrize("count", [0, 1, 7])
def test_every_model_has_a_column(task, count):
    figure = image_panels(panels(task, {f"arm{i}": f"Arm {i}" for i in range(count)}))
    titles = [axes.get_title() for axes in figure.axes[: 2 + count]]
    assert titles == ["image", "ground truth", *(f"Arm {i}" for i in range(count))]
    assert len(figure.axes) == 2 * (2 + count)


def test_boxes_have_a_class_and_a_score_and_weak_ones_are_left_out():
    axes = image_panels(panels("det", {"kd": "KD"}, images=1)).axes
    assert [[text.get_text() for text in place.texts] for place in axes] == [[], ["1"], ["1 0.90"]]


@pytest.mark.parametrize("count", [1, 2, 9])
def test_labels_of_every_model_stand_below_the_image(count):
    figure = image_panels(panels("cls", {f"arm{i}": f"A{i}" for i in range(count)}, ("cat", "dog")))
    text = figure.axes[0].texts[0].get_text()
    assert text.startswith("is dog")
    assert all(f"A{i} dog" in text for i in range(count))


def test_captions_of_many_models_have_room():
    few, many = (image_panels(panels("cls", {str(i): "Name" for i in range(count)})) for count in (2, 30))
    assert many.get_size_inches()[1] > few.get_size_inches()[1] + 0.5


@pytest.mark.parametrize("task", list(VALUES))
@pytest.mark.parametrize("classes", [None, ("only",), (), tuple(HOSTILE)])
def test_classes_can_be_unknown_or_called_anything(task, classes):
    figure = image_panels(panels(task, {"kd": HOSTILE[5], "b": HOSTILE[3], "c": "_c"}, classes))
    assert png_bytes(figure, dpi=40).startswith(b"\x89PNG")


def test_ignored_pixels_are_no_class():
    ignored = {"image": np.zeros((4, 4, 3), np.uint8), "truth": np.full((4, 4), 255, np.uint8)}
    figure = image_panels(Panels("seg", [ignored], {}))
    assert not figure.axes[1].images[0].get_array().any()


def test_no_images_are_no_figure():
    assert image_panels(Panels("seg", [], {"kd": "KD"})) is None
