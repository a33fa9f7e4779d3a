"""One call of a loss module: what it compares, and how a weight gets into it."""

from __future__ import annotations

import inspect
from typing import Any

from torch import Tensor, nn

WEIGHTS = ("weight", "label_weights", "label_weight")


class LossCall:
    """The arguments of a call ``loss(prediction, target, weight=..., avg_factor=...)``, by name.

    Args:
        module (nn.Module): The loss.
        args (tuple): Positional arguments of its ``forward``.
        kwargs (dict[str, Any]): Keyword arguments of its ``forward``.

    Example:
        >>> import torch
        >>> class Loss(nn.Module):
        ...     def forward(self, pred, target, weight=None, avg_factor=None):
        ...         return pred, target, weight, avg_factor
        >>> call = LossCall(Loss(), (torch.zeros(2, 3),), dict(target=torch.zeros(2)))
        >>> call.weigh(torch.full((2,), 0.5), average_over=7)
        >>> call.args[2].tolist(), call.args[3]
        ([0.5, 0.5], 7)
    """

    def __init__(self, module: nn.Module, args: tuple, kwargs: dict[str, Any]) -> None:
        self.module = module
        self.signature = inspect.signature(module.forward)
        self.bound = self.signature.bind(*args, **kwargs)
        self.prediction, target = list(self.signature.parameters)[:2]
        self.logits: Tensor = self.bound.arguments[self.prediction]
        target = self.bound.arguments[target]
        self.label: Tensor = target[0] if isinstance(target, tuple) else target  # with a quality, in GFL and RTMDet

    def weigh(self, weight: Tensor, average_over: Any = None) -> None:
        """Multiply the weight of each position.

        Args:
            weight (Tensor): As the labels.
            average_over (Tensor | float, optional): What the sum of the weighted losses is divided by; None: leave it.
        """
        given = self.weight
        self.bound.arguments[weight_parameter(self.module)] = weight if given is None else given * weight
        if average_over is not None:
            self.bound.arguments["avg_factor"] = average_over

    def replace_logits(self, logits: Tensor) -> None:
        """Let the loss compare these instead, of the same shape."""
        self.logits = self.bound.arguments[self.prediction] = logits

    def ignore(self, index: int) -> None:
        """Ignore this label, if the loss can, and the caller does not say what to ignore: DDRNet's head does not."""
        if "ignore_index" in self.signature.parameters:
            self.bound.arguments.setdefault("ignore_index", index)

    @property
    def weight(self) -> Tensor | None:
        """The weight of each position that the caller gives."""
        return self.bound.arguments.get(weight_parameter(self.module))

    @property
    def reduction_override(self) -> str | None:
        """The reduction that the caller asks for instead of the loss's own."""
        return self.bound.arguments.get("reduction_override")

    @property
    def reduction(self) -> str:
        """What the loss does with its values: mean, sum or none."""
        return self.reduction_override or getattr(self.module, "reduction", "mean")

    @property
    def args(self) -> tuple:
        """The positional arguments."""
        return self.bound.args

    @property
    def kwargs(self) -> dict[str, Any]:
        """The keyword arguments."""
        return self.bound.kwargs


def weight_parameter(module: nn.Module) -> str | None:
    """Name of the parameter that takes a weight for each position, or None.

    Example:
        >>> weight_parameter(nn.CrossEntropyLoss()) is None
        True
    """
    names = inspect.signature(module.forward).parameters
    return next((name for name in WEIGHTS if name in names), None)
