"""``custom_keys`` of ``paramwise_cfg`` that are part of no parameter's name: mmengine passes over them in silence."""

from __future__ import annotations

import difflib
import logging
import re
from collections.abc import Mapping
from typing import Any

from mmengine.logging import print_log
from torch import nn

from mmdist.errors import ConfigError, spelling_hint

KEY = "optim_wrapper.paramwise_cfg.custom_keys"
ALIKE = (
    0.8  # more than this is a misspelling: no key of the task libraries' own configs that matches nothing is so near
)


def check_custom_keys(optim_wrapper: Any, model: nn.Module) -> None:
    """Every key is part of a parameter's name.

    One that matches nothing is often meant so (a config for several models), and only warned of, unless it is spelt
    nearly as a part of a name is.

    Args:
        optim_wrapper (Any): The config's.
        model (nn.Module): What is trained.

    Raises:
        ConfigError: A key that is misspelt, with the nearest names.
    """
    rules = optim_wrapper.get("paramwise_cfg") if isinstance(optim_wrapper, dict) else None
    custom = rules.get("custom_keys") if isinstance(rules, dict) else None
    if not isinstance(custom, Mapping) or "constructor" in optim_wrapper:
        return
    names = [name for name, _ in model.named_parameters()]
    for key in custom:
        if any(str(key) in name for name in names):
            continue
        near = _near(str(key), names)
        if near:
            raise ConfigError(f"{KEY}.{key}", custom[key], "part of a parameter's name", spelling_hint(str(key), near))
        print_log(f"{KEY}.{key} is part of no parameter's name: it changes nothing", "current", logging.WARNING)


def _near(key: str, names: list[str]) -> list[str]:
    """Parts of names, as long as the key in dots, that differ from it in a letter or two."""
    length = key.count(".") + 1
    parts = {
        ".".join(name.split(".")[start : start + length])
        for name in names
        for start in range(name.count(".") + 2 - length)
    }
    return [
        part for part in difflib.get_close_matches(key, parts, n=3, cutoff=ALIKE) if _letters(part) != _letters(key)
    ]


def _letters(name: str) -> str:
    """Without numbers: another layer is no misspelling."""
    return re.sub(r"\d+", "", name)
