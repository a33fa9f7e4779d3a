"""Classifiers that take images of one size, and a training that gives them another."""

from __future__ import annotations

from typing import Any

import torch
from mmengine.model import BaseModel
from torch import Tensor, nn
from torch.utils.data import DataLoader

from mmdist.engine.checks.datasets import leaves
from mmdist.engine.checks.samples import first_sample
from mmdist.engine.hooks import random_state
from mmdist.errors import ConfigError


def check_input_sizes(loader: DataLoader, model: nn.Module, key: str) -> None:
    """The images that the training pipeline makes are of a size that student and teacher take.

    Args:
        loader (DataLoader): Of the training data.
        model (nn.Module): What is trained: an algorithm with student and teacher, or a plain model.
        key (str): The dataloader's path in the config.

    Raises:
        ConfigError: They are not, with both sizes. Only what a pass over the first image shows is told, and only where
            the model takes another size.
    """
    from mmdist.models.algorithms.input_size import by, is_classifier, own_size, why_not

    distils = hasattr(model, "distiller")
    sides = {"architecture": model.student, "teacher": model.teacher} if distils else {"": model}
    if not all(isinstance(side, BaseModel) and is_classifier(side) for side in sides.values()):
        return
    images = _first_images(loader, model, key)
    if images is None:
        return
    for name, side in sides.items():
        seen = images
        if name == "teacher" and getattr(model, "_teacher", None) is not None:
            seen = model._teacher.prepare(images)
        size = (int(seen.shape[2]), int(seen.shape[3]))
        takes = own_size(side, size) if why_not(side, seen) is not None else None
        if takes is None:
            continue
        what = f"{type(getattr(side, 'backbone', side)).__name__} takes images of {by(takes)}"
        gives = f"the training pipeline gives {by(size)}"
        if name == "teacher" and hasattr(model, "_teacher"):
            raise ConfigError("model.teacher_input_size", None, f"{list(takes)}: the teacher's {what}, and {gives}")
        path = ".".join(filter(None, ("model", name, "backbone")))
        kind = type(getattr(side, "backbone", side)).__name__
        raise ConfigError(path, kind, f"a pipeline that makes images of {by(takes)}", f"{key}.dataset gives {by(size)}")


def _first_images(loader: DataLoader, model: Any, key: str) -> Tensor | None:
    """The first image as the model gets it, (1, C, H, W); None where that cannot be told."""
    state = random_state.capture()
    try:
        for leaf, place in leaves(loader.dataset, f"{key}.dataset"):
            sample = first_sample(leaf, place)
            if not isinstance(sample, dict) or not isinstance(sample.get("inputs"), Tensor):
                return None
            batch = {name: [sample[name]] for name in ("inputs", "data_samples") if name in sample}
            try:
                with torch.no_grad():
                    images = model.data_preprocessor(batch, False)["inputs"]
            except Exception:  # an arrangement of its own: the run shows what is wrong
                return None
            return images if isinstance(images, Tensor) and images.ndim == 4 else None
    finally:
        random_state.restore(state)
    return None
