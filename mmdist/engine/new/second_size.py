"""Maps that are of one size in the check and of two in the training: models round a size that no stride divides."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from mmengine.config import Config

from mmdist.engine.new.dry import pictures
from mmdist.engine.new.passes import recorded
from mmdist.engine.new.sides import SEGMENTER, Side
from mmdist.models.algorithms.normalisation import divisor

WHOLE = 128  # twice the coarsest stride of most models


def second_size(training: tuple[int, int], tried: tuple[int, int], step: int | None) -> tuple[int, int] | None:
    """Another size that maps are to be compared at, small, with what the training's leaves over strides.

    Args:
        training (tuple[int, int]): Height and width of the images in training.
        tried (tuple[int, int]): The same in the check.
        step (int, optional): Sizes change from batch to batch in steps of this; None: they do not.

    Returns:
        tuple[int, int] | None: None where nothing new would be seen.

    Example:
        >>> second_size((769, 769), (128, 128), None), second_size((512, 512), (128, 128), None)
        ((129, 129), None)
        >>> second_size((512, 512), (128, 128), 1)
        (129, 129)
    """
    left = (step, step) if step is not None else training
    sizes = tuple(WHOLE + number % WHOLE for number in left)
    alike = all(one % WHOLE == other % WHOLE for one, other in zip(sizes, tried, strict=True))
    return None if alike else sizes


def look_again(cfg: Config, sides: list[Side], training: tuple[int, int], tried: tuple[int, int]) -> None:
    """Record two segmenters' class scores at a second size too, into ``Side.again``.

    Args:
        cfg (Config): Of the student.
        sides (list[Side]): Student and teacher, described.
        training (tuple[int, int]): Height and width of the images in training.
        tried (tuple[int, int]): The same in the check.
    """
    if any(side.kind != SEGMENTER or not side.logits for side in sides):
        return
    student = sides[0].model
    preprocessor: Any = student.data_preprocessor
    fixed = getattr(preprocessor, "size", None)
    size = second_size(training, tried, None if fixed is not None else divisor(preprocessor))
    if size is None:
        return
    try:
        batch = preprocessor(pictures(cfg, student, size), training=True)
        for side in sides:
            spots = [*side.logits, *side.auxiliary]
            with suppress(Exception):  # a model that takes no other size
                side.again = {
                    spot: tuple(map_.shape) for spot, map_ in zip(spots, recorded(side, batch, spots), strict=True)
                }
    finally:
        preprocessor.size = fixed
