"""Classifiers that take images of one size: the student's is that of its training, the teacher's may be another."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from mmengine.model import BaseModel

from mmdist.errors import ConfigError
from mmdist.functional import resize_images
from mmdist.models.algorithms.input_size import Size, by, is_classifier, own_size, said_size, why_not
from mmdist.models.input_channels import input_channels


def teachers_size(models: Mapping[str, BaseModel], training: Size, tried: Size) -> Size | None:
    """What the teacher's images have to be resized to, in the check and in the training.

    Args:
        models (Mapping[str, BaseModel]): ``student`` and ``teacher``.
        training (Size): Height and width of the images in training.
        tried (Size): The same in the check.

    Returns:
        Size | None: None where it takes the student's, or is no classifier.

    Raises:
        ConfigError: The student does not take the images of its own training, or one of the two not those of the check.
    """
    if not all(map(is_classifier, models.values())):
        _check_segmenters(models, training, tried)
        return None
    student, teacher = models["student"], models["teacher"]
    takes = _takes_instead(student, training)
    if takes is not None:
        wanted = f"images of {by(takes)} in its training, whose pipeline makes them {by(training)}"
        raise ConfigError("--student", _name(student), wanted)
    own = _takes_instead(teacher, training)
    for model in [student] if own else [student, teacher]:
        takes = _takes_instead(model, tried) if tried != training else None
        if takes is not None:
            hint = f"{_name(model)} takes images of {by(takes)}, and the training makes them {by(training)}"
            raise ConfigError("--input-size", list(tried), f"{list(training)}, or none", hint)
    return own


def resized(batch: dict[str, Any], size: Size | None) -> dict[str, Any]:
    """A preprocessed batch for a teacher of another input size."""
    return batch if size is None else {**batch, "inputs": resize_images(batch["inputs"], size)}


def _takes_instead(model: BaseModel, size: Size) -> Size | None:
    """The size that a model takes where it does not take this one; None: it does, or another is no help."""
    weight: torch.Tensor = next(model.parameters())
    if why_not(model, weight.new_zeros(1, input_channels(model), *size)) is None:
        return None
    return own_size(model, size)


def _check_segmenters(models: Mapping[str, BaseModel], training: Size, tried: Size) -> None:
    """A segmenter of one size, as BEiT's are, that takes the images of the check takes those of the training too."""
    for side, model in models.items():
        own = said_size(model)
        if own is None or tried == training or not hasattr(model, "decode_head"):
            continue
        weight = next(model.parameters())
        sizes = [weight.new_zeros(1, input_channels(model), *size) for size in (tried, training)]
        if why_not(model, sizes[0]) is None and why_not(model, sizes[1]) is not None:
            wanted = f"images of {by(own)} in the training, which makes them {by(training)}"
            raise ConfigError(f"--{side}", _name(model), wanted)


def _name(model: BaseModel) -> str:
    return type(getattr(model, "backbone", model)).__name__
