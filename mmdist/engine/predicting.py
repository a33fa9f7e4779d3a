"""Predictions of a model by itself, as a validation makes them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from mmengine.model import BaseModel
from torch import nn


def teachers_preprocessor(algorithm: BaseModel) -> nn.Module:
    """What prepares the teacher's pictures: its own, or, where that says nothing of pictures, the student's.

    Args:
        algorithm (BaseModel): With a ``teacher``, and the student's ``data_preprocessor``.

    Returns:
        nn.Module: A data preprocessor.
    """
    from mmdist.models.algorithms.normalisation import normalisation  # brings MMRazor along

    own = getattr(algorithm.teacher, "data_preprocessor", None)
    return algorithm.data_preprocessor if normalisation(own) is None else own


@torch.no_grad()
def predict(model: BaseModel, preprocessor: nn.Module, batch: Any) -> Sequence:
    """What a model predicts for a batch.

    Args:
        model (BaseModel): In evaluation mode.
        preprocessor (nn.Module): Its data preprocessor.
        batch (Any): As it comes from the dataloader; predictions may be written into its data samples.

    Returns:
        Sequence: The data samples, without the losses that some models add at the end.
    """
    outputs = model._run_forward(preprocessor(batch, False), mode="predict")
    ends_with_losses = hasattr(outputs[-1], "keys") and list(outputs[-1].keys()) == ["loss"]
    return outputs[:-1] if ends_with_losses else outputs
