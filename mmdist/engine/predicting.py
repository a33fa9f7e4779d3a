"""Predictions of a model by itself, as a validation makes them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from mmengine.model import BaseModel

from mmdist.functional import resize_images

Preprocess = Callable[[Any, bool], Any]


def teachers_preprocessor(algorithm: BaseModel) -> Preprocess:
    """What prepares the teacher's pictures: its own, or, where that says nothing of pictures, the student's.

    Args:
        algorithm (BaseModel): With a ``teacher``, and the student's ``data_preprocessor``.

    Returns:
        Preprocess: A data preprocessor, which also resizes for a teacher of another input size.
    """
    from mmdist.models.algorithms.normalisation import normalisation  # brings MMRazor along

    own = getattr(algorithm.teacher, "data_preprocessor", None)
    preprocessor = algorithm.data_preprocessor if normalisation(own) is None else own
    size = getattr(algorithm, "teacher_input_size", None)
    if size is None:
        return preprocessor

    def prepare(batch: Any, training: bool) -> Any:
        data = preprocessor(batch, training)
        return {**data, "inputs": resize_images(data["inputs"], size)}

    return prepare


@torch.no_grad()
def predict(model: BaseModel, preprocessor: Preprocess, batch: Any) -> Sequence:
    """What a model predicts for a batch.

    Args:
        model (BaseModel): In evaluation mode.
        preprocessor (Preprocess): Its data preprocessor.
        batch (Any): As it comes from the dataloader; predictions may be written into its data samples.

    Returns:
        Sequence: The data samples, without the losses that some models add at the end.
    """
    outputs = model._run_forward(preprocessor(batch, False), mode="predict")
    ends_with_losses = hasattr(outputs[-1], "keys") and list(outputs[-1].keys()) == ["loss"]
    return outputs[:-1] if ends_with_losses else outputs
