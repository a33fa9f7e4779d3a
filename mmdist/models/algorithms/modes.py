"""Training and evaluation modes of a model, for a pass that tries something out."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn

PARTS = ("backbone", "neck", "decode_head", "auxiliary_head", "bbox_head", "mask_head", "rpn_head", "roi_head", "head")


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Inside, the whole model is in evaluation mode; afterwards each module is in its own mode again."""
    modes = {module: module.training for module in model.modules()}
    model.eval()
    try:
        yield
    finally:
        for module, training in modes.items():
            module.training = training


@contextmanager
def as_in_training(model: nn.Module) -> Iterator[None]:
    """Inside, backbone and heads take their way of training, and norms and dropout compute as in evaluation.

    Example:
        >>> model = nn.ModuleDict(dict(head=nn.Sequential(nn.Dropout())))
        >>> with as_in_training(model):
        ...     model['head'].training, model['head'][0].training
        (True, False)
    """
    with evaluating(model):
        for name in PARTS:
            part = getattr(model, name, None)
            for module in part if isinstance(part, nn.ModuleList) else [part]:
                if isinstance(module, nn.Module):
                    module.training = True
        yield
