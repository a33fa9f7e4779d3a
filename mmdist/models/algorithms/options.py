"""The algorithm's options that cannot be, alone or together."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from mmdist.errors import ConfigError

DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}


def check_dtype(name: str | None) -> None:
    """The teacher's dtype is one that it can be cast to.

    Raises:
        ConfigError: It is not.
    """
    if name is not None and name not in DTYPES:
        raise ConfigError("model.teacher_dtype", name, list(DTYPES))


def refuse_beside_training(options: Mapping[str, Any]) -> None:
    """Options that have no effect on a teacher that trains as a whole: it runs as in MMRazor.

    Args:
        options (Mapping[str, Any]): As the user gave them, by name.

    Raises:
        ConfigError: One is given.
    """
    for name, value in options.items():
        if value:
            shown = value if isinstance(value, str | bool | list | tuple) else type(value).__name__
            hint = "teacher_trainable=True runs the teacher as MMRazor does, where this has no effect"
            raise ConfigError(f"model.{name}", shown, "nothing beside teacher_trainable=True", hint)
