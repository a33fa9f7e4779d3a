"""Layer-wise learning-rate decay finds no layer inside an algorithm.

Reason: the constructors of mmseg and mmdet look for names that begin with
``backbone.``, and in an algorithm the student's begin with ``architecture.``.
Every parameter then counts as the head's and trains at the full rate, without a
word; under MMRazor's own algorithms the constructors fail. mmpretrain's asks the
model for the depth, but leaves ``lr_mult`` out, which the adaptive teacher needs.

Window: every version. Constructors with ``LayerDecay`` or ``LearningRateDecay``
in their name, as OpenMMLab's are called and what was made after them, get the
student alone, as in its plain training. The algorithm's other parameters join
the optimizer at its own rate, under the ``custom_keys``. Constructors that search
the whole name, such as mmengine's own, are left alone.
"""

from __future__ import annotations

import functools
import re
import sys
from typing import TYPE_CHECKING, Any

from mmdist.compat import versions
from mmdist.errors import ConfigError

if TYPE_CHECKING:
    from mmengine.optim import DefaultOptimWrapperConstructor, OptimWrapper
    from torch import nn
    from torch.optim import Optimizer

NUMBER = 11
NAME = "layer-wise learning rates"
REASON = "mmseg's and mmdet's constructors find no layer inside an algorithm: all of it trains at the full rate"
WINDOW = "mmrazor"
WHEN = "mmengine.optim"

_BY_LAYER = re.compile("(Layer|LearningRate)Decay")

_changed: Any = None


def needed() -> bool:
    """Whether there is an MMRazor, whose algorithms hold the student as ``architecture``."""
    return versions.installed("mmrazor") is not None


def active() -> bool:
    """Whether mmengine builds optimizers by :func:`build`."""
    return _changed is not None


def apply() -> None:
    """Let layer-wise decay see the student, if ``mmengine.optim`` is imported, or will be by mmdist's models."""
    global _changed
    if "mmdist.models" in sys.modules:
        # The models import it in any case; afterwards nobody may call this function again.
        import mmengine.optim  # noqa: F401
    constructor = getattr(sys.modules.get("mmengine.optim"), "DefaultOptimWrapperConstructor", None)
    if constructor is None or constructor is _changed:
        return
    plain = constructor.__call__

    @functools.wraps(plain)
    def call(self: DefaultOptimWrapperConstructor, model: nn.Module) -> OptimWrapper:
        inner = getattr(model, "module", model)
        if self.paramwise_cfg and by_layer(type(self)) and _is_algorithm(inner):
            return build(self, inner, plain)
        return plain(self, model)

    constructor.__call__ = call
    _changed = constructor


def by_layer(constructor: type) -> bool:
    """Whether a constructor is one of layer-wise decay: whoever wrote its ``add_params`` called it so.

    Example:
        >>> by_layer(type("LayerDecayOptimizerConstructor", (), dict(add_params=None)))
        True
    """
    owner = next((base for base in constructor.__mro__ if "add_params" in vars(base)), constructor)
    return _BY_LAYER.search(owner.__name__) is not None


def build(constructor: DefaultOptimWrapperConstructor, algorithm: nn.Module, plain: Any) -> OptimWrapper:
    """The optimizer of the student's plain training, and the algorithm's other parameters in it.

    Args:
        constructor (DefaultOptimWrapperConstructor): One of layer-wise decay.
        algorithm (nn.Module): With the student as ``architecture``.
        plain (Callable): mmengine's ``__call__``, which takes constructor and model.

    Returns:
        OptimWrapper: First the student's groups, then one group for each of the others.

    Raises:
        ConfigError: A custom key with a name that the student's parameters do not have here.
    """
    for key in constructor.paramwise_cfg.get("custom_keys", {}):
        if key.split(".")[0] == "architecture":
            hint = f"{type(constructor).__name__} sees the student's parameters without 'architecture.'"
            raise ConfigError("optim_wrapper.paramwise_cfg.custom_keys", key, "a part of a parameter's name", hint)
    wrapper = plain(constructor, algorithm.architecture)
    for group in _other_groups(constructor, algorithm, wrapper.optimizer):
        wrapper.optimizer.add_param_group(group)
    return wrapper


def _other_groups(
    constructor: DefaultOptimWrapperConstructor, algorithm: nn.Module, optimizer: Optimizer
) -> list[dict[str, Any]]:
    """Groups of what is not the student's, by mmengine's rules, of which layer-wise decay knows few."""
    from mmengine.optim import DefaultOptimWrapperConstructor

    rules = {**constructor.paramwise_cfg, "bypass_duplicate": True}
    if not _decays_vectors(optimizer):
        rules.setdefault("flat_decay_mult", 0.0)
    by_name = DefaultOptimWrapperConstructor({"optimizer": constructor.optimizer_cfg}, rules)
    groups, others = list(optimizer.param_groups), _without_student(algorithm)
    by_name.add_params(groups, others)
    added = groups[len(optimizer.param_groups) :]
    if "param_names" in optimizer.param_groups[0]:  # then torch >= 2.6 wants them in every group
        names = {id(parameter): name for name, parameter in others.named_parameters()}
        for group in added:
            group["param_names"] = [names[id(parameter)] for parameter in group["params"]]
    return added


def _decays_vectors(optimizer: Optimizer) -> bool:
    """Whether biases or norms of the student have weight decay; mmseg's and mmdet's constructors spare them all."""
    return any(group["weight_decay"] for group in optimizer.param_groups for p in group["params"] if p.ndim == 1)


def _without_student(algorithm: nn.Module) -> nn.Module:
    from torch import nn

    others = nn.Module()
    for name, parameter in algorithm.named_parameters(recurse=False):
        others.register_parameter(name, parameter)
    for name, child in algorithm.named_children():
        if child is not algorithm.architecture:
            others.add_module(name, child)
    return others


def _is_algorithm(model: nn.Module) -> bool:
    return isinstance(model, getattr(sys.modules.get("mmrazor.models.algorithms"), "BaseAlgorithm", ()))
