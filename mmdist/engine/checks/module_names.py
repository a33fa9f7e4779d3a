"""Names of modules that mmengine changes before the training, such as ``activation_checkpointing``."""

from __future__ import annotations

from operator import attrgetter
from typing import Any

from torch import nn

from mmdist.errors import ConfigError

KEYS = ("activation_checkpointing", "efficient_conv_bn_eval")


def check_module_names(cfg: Any, model: nn.Module) -> None:
    """Every module that the config names is there.

    Args:
        cfg (Any): The whole config.
        model (nn.Module): What is trained; of a distillation, the student's names count.

    Raises:
        ConfigError: One that is not, with the nearest names.
    """
    for key in KEYS:
        given = cfg.get(key)
        for name in [given] if isinstance(given, str) else given or ():
            try:
                found = attrgetter(name)(model)
            except (AttributeError, TypeError):
                found = None
            if not isinstance(found, nn.Module):
                student = getattr(model, "architecture", model)
                raise ConfigError(key, name, [known for known, _ in student.named_modules() if known])
