"""Teacher and student of a config by themselves: no weights, no distiller, no recorders."""

from __future__ import annotations

from typing import Any

from mmengine.config import Config
from mmengine.device import get_device
from mmengine.model import BaseModel

from mmdist import compat
from mmdist.engine.cpu import adapt_to_cpu
from mmdist.errors import ConfigError


def build_models(cfg: Config) -> dict[str, BaseModel]:
    """The student and the teacher of a config, or its one model; without weights, distiller and recorders.

    Args:
        cfg (Config): The whole config.

    Returns:
        dict[str, BaseModel]: ``student`` and, if there is one, ``teacher``; ``model`` of a plain config.

    Raises:
        MMDistError: One cannot be built; with its key path.
    """
    compat.apply()
    from mmdist.engine.preflight.model import check_part
    from mmdist.engine.runner import explained
    from mmdist.models.builder import build_model

    if not isinstance(cfg.get("model"), dict):
        raise ConfigError("model", cfg.get("model"), "a dict with `type`")
    adapt_to_cpu(cfg)
    keys = {"model": "model"}
    if "architecture" in cfg.model:
        keys = {"student": "model.architecture", "teacher": "model.teacher"}
    models = {}
    for side, key in keys.items():
        source = cfg.model if side == "model" else cfg.model.get(side.replace("student", "architecture"))
        if source is None:  # distilling from itself
            continue
        check_part(source, cfg.model.get("_scope_", cfg.get("default_scope")), key)
        preprocessor = cfg.get("data_preprocessor") if side == "model" else _preprocessor(cfg)
        if side != "teacher" and isinstance(source, dict) and "type" in source and preprocessor is not None:
            source = {"data_preprocessor": preprocessor, **source}
        with explained(cfg):
            models[side] = build_model(source, key).to(get_device())
    return models


def _preprocessor(cfg: Config) -> Any:
    return cfg.model.get("data_preprocessor") or cfg.get("data_preprocessor")
