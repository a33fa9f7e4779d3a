"""The tail of an mmpretrain classifier, from pooled vectors to logits."""

from __future__ import annotations

import math

from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from mmdist.errors import ConfigError

POOLING = "GlobalAveragePooling"


def as_map(model: nn.Module, feature: Tensor, tokens: bool) -> Tensor:
    """The last feature as a map.

    Args:
        model (nn.Module): The classifier.
        feature (Tensor): (N, D, H, W), or (N, L, D) tokens.
        tokens (bool): Whether tokens are taken.

    Returns:
        Tensor: (N, D, H, W).

    Raises:
        ConfigError: Neither.
    """
    if feature.ndim == 4:
        return feature
    wanted = "the last feature map, (N, D, H, W), before pooling: source='backbone' for most models"
    if feature.ndim != 3:
        hint = "ConvNeXt pools inside its backbone: source='backbone.stages.3'" if _pools_inside(model) else ""
        raise ConfigError("mmdist.SDDHead", tuple(feature.shape), wanted, hint)
    if not tokens:
        raise ConfigError("mmdist.SDDHead", tuple(feature.shape), wanted, "tokens=True takes tokens")
    side = math.isqrt(feature.shape[1])  # a class token and registers stand first
    patches = feature[:, feature.shape[1] - side**2 :]
    return patches.movedim(1, 2).unflatten(2, (side, side))


def classify(model: nn.Module, vectors: Tensor) -> Tensor:
    """The model's own logits for pooled vectors.

    Args:
        model (nn.Module): The classifier.
        vectors (Tensor): (M, D), averages of the last feature map.

    Returns:
        Tensor: (M, C).

    Raises:
        ConfigError: A model that does something else than averaging and classifying.
    """
    check(model, vectors)
    parameter = next(model.head.parameters(), vectors)
    vectors = vectors.to(parameter.dtype)
    if _pools_inside(model):
        norm = getattr(model.backbone, f"norm{max(model.backbone.out_indices)}")
        vectors = norm(vectors[:, :, None, None]).flatten(1)
    return model.head((vectors,))


def check(model: nn.Module, vectors: Tensor) -> None:
    """The model averages its last map and classifies the average.

    Raises:
        ConfigError: It does not; says what is in between.
    """
    neck = getattr(model, "neck", None)
    pools = neck is not None and any(cls.__name__ == POOLING for cls in type(neck).__mro__)
    key, allowed = "mmdist.SDDHead", f"a classifier with {POOLING} before its head"
    if not pools and not _pools_inside(model):
        raise ConfigError(key, type(neck).__name__ if neck is not None else "no neck", allowed)
    if any(isinstance(module, _BatchNorm) for module in model.head.modules()):
        hint = "regions would change the statistics of its batch norm"
        raise ConfigError(key, type(model.head).__name__, "a head without batch norm", hint)
    channels = getattr(model.head, "in_channels", vectors.shape[1])
    if channels != vectors.shape[1]:
        hint = f"the head takes {channels} channels: record the last feature map, source='backbone' for most models"
        raise ConfigError(key, f"{vectors.shape[1]} channels", f"{channels} channels", hint)


def _pools_inside(model: nn.Module) -> bool:
    """ConvNeXt: the backbone averages, then normalises."""
    return bool(getattr(getattr(model, "backbone", None), "gap_before_final_norm", False))
