"""The tail of an mmpretrain classifier, from pooled vectors to logits."""

from __future__ import annotations

import math

from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from mmdist.errors import ConfigError

KEY = "mmdist.SDDHead"
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
        ConfigError: Neither, or tokens that are no square map.
    """
    if feature.ndim == 4:
        return feature
    wanted = "the last feature map, (N, D, H, W), before pooling: source='backbone' for most models"
    if feature.ndim != 3:
        hint = "ConvNeXt pools inside its backbone: source='backbone.stages.3'" if _pools_inside(model) else ""
        raise ConfigError(KEY, tuple(feature.shape), wanted, hint)
    if not tokens:
        raise ConfigError(KEY, tuple(feature.shape), wanted, "tokens=True takes tokens")
    length = feature.shape[1]
    extra = getattr(_backbone(model), "num_extra_tokens", length - math.isqrt(length) ** 2)
    side = math.isqrt(length - extra)
    if side**2 != length - extra:
        raise ConfigError(KEY, tuple(feature.shape), f"tokens of a square map, after {extra} that are no patches")
    patches = feature[:, extra:]  # a class token and registers stand first
    return patches.movedim(1, 2).unflatten(2, (side, side))


def classify(model: nn.Module, vectors: Tensor, tokens: bool = False) -> Tensor:
    """The model's own logits for pooled vectors.

    Args:
        model (nn.Module): The classifier.
        vectors (Tensor): (M, D), averages of the last feature map.
        tokens (bool): Whether a model that does not average is taken: one that classifies its class token.

    Returns:
        Tensor: (M, C).

    Raises:
        ConfigError: A model that does something else than averaging and classifying.
    """
    check(model, vectors, tokens)
    parameter = next(model.head.parameters(), vectors)
    vectors = vectors.to(parameter.dtype)
    norm = norm_after_pooling(model)
    if norm is not None:
        maps = type(norm) is not nn.LayerNorm  # mmpretrain's LN2d takes nothing else
        vectors = norm(vectors[:, :, None, None]).flatten(1) if maps else norm(vectors)
    return model.head((vectors,))


def check(model: nn.Module, vectors: Tensor, tokens: bool) -> None:
    """The model averages its last map and classifies the average.

    Raises:
        ConfigError: It does not; says what is in between.
    """
    neck = getattr(model, "neck", None)
    pools = neck is not None and any(cls.__name__ == POOLING for cls in type(neck).__mro__)
    if not pools and not _pools_inside(model) and not (tokens and neck is None):
        given = type(neck).__name__ if neck is not None else "no neck"
        raise ConfigError(KEY, given, f"a classifier with {POOLING} before its head")
    check_batch_norm(model.head)
    channels = getattr(model.head, "in_channels", vectors.shape[1])
    if channels != vectors.shape[1]:
        hint = f"the head takes {channels} channels: record the last feature map, source='backbone' for most models"
        raise ConfigError(KEY, f"{vectors.shape[1]} channels", f"{channels} channels", hint)


def check_batch_norm(head: nn.Module) -> None:
    """The head has no batch norm that is training: its statistics would become those of the regions.

    Raises:
        ConfigError: It has.
    """
    if any(isinstance(module, _BatchNorm) and module.training for module in head.modules()):
        hint = "regions would change the statistics of its batch norm"
        raise ConfigError(KEY, type(head).__name__, "a head without batch norm", hint)


def norm_after_pooling(model: nn.Module) -> nn.Module | None:
    """The norm layer between the average and the head: of ConvNeXt, and of a ViT that averages its patches."""
    backbone = _backbone(model)
    if getattr(backbone, "gap_before_final_norm", False):
        return getattr(backbone, f"norm{max(backbone.out_indices)}")
    return getattr(backbone, "ln2", None) if getattr(backbone, "out_type", "") == "avg_featmap" else None


def _pools_inside(model: nn.Module) -> bool:
    """Whether the backbone averages: ConvNeXt, a ViT with ``out_type='avg_featmap'``."""
    backbone = _backbone(model)
    return bool(getattr(backbone, "gap_before_final_norm", getattr(backbone, "out_type", "") == "avg_featmap"))


def _backbone(model: nn.Module) -> nn.Module | None:
    return getattr(model, "backbone", None)
