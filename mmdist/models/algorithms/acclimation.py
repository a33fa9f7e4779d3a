"""DIST+: the few modules of the teacher that train, and at which rate."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from mmengine.logging import print_log
from mmengine.model import BaseModel
from mmengine.optim import OptimWrapper
from torch import nn

from mmdist.errors import ConfigError, spelling_hint

ADVICE = "optim_wrapper=dict(paramwise_cfg=dict(custom_keys=dict(acclimated=dict(lr_mult=0.1, decay_mult=0.0))))"


def acclimated_modules(teacher: BaseModel, names: Sequence[str]) -> nn.ModuleDict:
    """The named modules of the teacher, made to train.

    Their parameters, and no others of the teacher's, are the algorithm's: in the optimizer, in DDP, in the checkpoint
    (as ``acclimated.<name with - for .>``), so that a resumed run goes on exactly.

    Args:
        teacher (BaseModel): Frozen before.
        names (Sequence[str]): As in ``named_modules``, such as ``head.fc``; layers without statistics.

    Returns:
        nn.ModuleDict: The modules themselves, not copies.

    Raises:
        ConfigError: No such module, or one that has statistics of its own, which the teacher's run must not change.
    """
    if isinstance(names, str):
        raise ConfigError("model.acclimated", names, "a list of names", f"did you mean [{names!r}]?")
    modules = {name: module for name, module in teacher.named_modules() if name}
    chosen = nn.ModuleDict()
    for index, name in enumerate(names):
        key = f"model.acclimated[{index}]"
        if name not in modules:
            raise ConfigError(key, name, "the name of a module of the teacher", spelling_hint(name, list(modules)))
        if next(modules[name].buffers(), None) is not None or next(modules[name].parameters(), None) is None:
            raise ConfigError(key, name, "a module with weights and without statistics, such as a convolution")
        chosen[name.replace(".", "-")] = modules[name]
    if len(chosen):
        _thaw(teacher)
    return chosen.requires_grad_(True)


def _thaw(teacher: nn.Module) -> None:
    """Let no backbone freeze its stages again, as those of OpenMMLab do whenever their mode changes.

    The teacher is in evaluation mode and without gradients as a whole: they are not needed for that.
    """
    for module in teacher.modules():
        if isinstance(getattr(module, "frozen_stages", None), int):
            module.frozen_stages = -1


def check_learning_rate(acclimated: nn.Module, optim_wrapper: OptimWrapper) -> None:
    """The acclimated modules are in the optimizer, at less than the student's rate.

    Args:
        acclimated (nn.Module): See :func:`acclimated_modules`.
        optim_wrapper (OptimWrapper): The runner's.

    Raises:
        ConfigError: The optimizer does not have them.
    """
    optimizer = getattr(optim_wrapper, "optimizer", None)
    if optimizer is None:  # several optimizers: the user's own arrangement
        return
    rates = {id(p): group.get("initial_lr", group["lr"]) for group in optimizer.param_groups for p in group["params"]}
    own = [rates.get(id(parameter)) for parameter in acclimated.parameters()]
    if None in own:
        raise ConfigError("optim_wrapper", "an optimizer without the acclimated modules", ADVICE)
    if max(own) >= max(rates.values()):
        print_log(
            f"the teacher's acclimated modules train at the student's learning rate, which ruins them; add {ADVICE}",
            "current",
            logging.WARNING,
        )
