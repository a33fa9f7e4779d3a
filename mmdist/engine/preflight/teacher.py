"""A teacher without weights, found before anything is built."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

from mmengine.config import Config

from mmdist.engine.lookup import LIBRARIES, find_type
from mmdist.engine.preflight.model import PARTS

GIVEN = ("teacher_ckpt", "random_teacher", "teacher_trainable")  # with one of these there is nothing to look for


def check_teacher_weights(cfg: Config) -> None:
    """The teacher has a checkpoint, or its own config says something of weights.

    Of what parts these are the weights, and whether that is enough, the algorithm answers when it is built.

    Args:
        cfg (Config): The whole config.

    Raises:
        ConfigError: There are no weights, for certain.
    """
    from mmdist.engine.weights import algorithm_class  # imported late: that module needs this package

    model, kind = cfg.model, algorithm_class(cfg)
    if kind is None or any(model.get(name) for name in GIVEN):
        return
    # Imported late: these bring MMRazor along, which a plain model does without.
    from mmdist.models.algorithms import SingleTeacherDistill
    from mmdist.models.builder import load_model_config
    from mmdist.models.teacher_weights import no_weights

    if kind is not SingleTeacherDistill:
        return
    teacher, scope = model.get("teacher"), model.get("_scope_", cfg.get("default_scope"))
    if isinstance(teacher, Mapping) and "type" not in teacher and not teacher.get("pretrained"):
        teacher = teacher.get("cfg_path")  # MMRazor's form
    if isinstance(teacher, str):
        teacher = load_model_config(teacher, "model.teacher")
    if isinstance(teacher, Mapping) and not may_have_weights(teacher, scope):
        raise no_weights(f"{teacher.get('type')} would teach noise")


def may_have_weights(cfg: Any, scope: str | None, name: str = "head") -> bool:
    """Whether a model's config names weights, or a part of it may bring them unnamed.

    Args:
        cfg (Any): The config, or a part of it.
        scope (str, optional): The scope that is the default where it stands.
        name (str): The key of the part; by default one whose ``type`` is a model's.

    Example:
        >>> may_have_weights(dict(backbone=dict(pretrained='a.pth'), head=dict(num_classes=3)), None)
        True
    """
    from mmdist.models.teacher_weights import LOADED

    if isinstance(cfg, list | tuple):
        return any(may_have_weights(part, scope, name) for part in cfg)
    if not isinstance(cfg, Mapping):
        return False
    scope = cfg.get("_scope_", scope)
    if any(cfg.get(key) for key in LOADED) or "Pretrained" in str(cfg.get("init_cfg")):
        return True
    if "type" in cfg and PARTS.get(name) == "model":
        kind = find_type(cfg["type"], scope, f"model.teacher.{name}.type")
        if not getattr(kind, "__module__", "").startswith(LIBRARIES):
            return True  # a class of the user's own, which may load weights in its constructor
        unsaid = inspect.signature(kind).parameters.get("pretrained")
        if "pretrained" not in cfg and unsaid is not None and unsaid.default is True:  # mmseg's TIMMBackbone
            return True
    return any(may_have_weights(part, scope, key) for key, part in cfg.items())
