"""The model: every type that is certainly built from a registry, in the student, the teacher and the plain model."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

from mmengine.config import Config
from mmengine.config.utils import MODULE2PACKAGE

from mmdist.engine.config import did_you_mean, load_config
from mmdist.engine.lookup import REGISTRIES, check_arguments, find_type, require_package
from mmdist.engine.preflight.distiller import check_distiller
from mmdist.errors import ConfigError, nearest

# Where a dict with a `type` is built by MODELS or TASK_UTILS in every task library. Elsewhere a `type` may mean
# anything (`nms`, `gaussian`, ...): there the building itself answers.
MODEL_PARTS = (
    *("backbone", "neck", "head", "bbox_head", "mask_head", "decode_head", "auxiliary_head", "rpn_head", "roi_head"),
    *("data_preprocessor", "loss", "loss_decode", "loss_cls", "loss_bbox", "loss_mask", "loss_centerness"),
)
TASK_PARTS = ("anchor_generator", "prior_generator", "bbox_coder", "assigner")
LAYERS = ("norm_cfg", "act_cfg", "conv_cfg")  # built from mmcv's part of MODELS, which these libraries import
LAYER_SCOPES = ("mmdet", "mmseg", "mmpretrain")
PARTS = dict.fromkeys(MODEL_PARTS, "model") | dict.fromkeys(TASK_PARTS, "task util")


def check_model(cfg: Config) -> None:
    """The types and arguments of ``model``, as far as a mistake in them is certain.

    Args:
        cfg (Config): The whole config.

    Raises:
        ConfigError: The first mistake found, with its key path and the nearest right spelling.
        MissingPackageError: A package that the config needs is not installed.
    """
    scope = cfg.get("default_scope")
    if scope:
        require_package(scope, f"default_scope = {scope!r}")
        known = [*MODULE2PACKAGE, "mmengine"]
        strange = scope not in known and REGISTRIES["model"]._search_child(scope) is None and not find_spec(scope)
        if strange and nearest(scope, known):
            raise ConfigError("default_scope", scope, "a package of OpenMMLab", did_you_mean(scope, known))
    model = cfg.get("model")
    if not isinstance(model, dict):
        raise ConfigError("model", model, "a dict with `type`")
    check_part(model, scope, "model")


def check_part(cfg: Any, scope: str | None, key: str) -> None:
    """A model's dict, or the path of a config that has one, in the scope of where it stands."""
    if isinstance(cfg, str):
        inner = load_config(cfg, key)
        if not isinstance(inner.get("model"), dict):
            raise ConfigError(key, cfg, "a config file that has a `model`")
        check_part(inner.model, inner.get("default_scope", scope), f"{key} ({cfg}): model")
        return
    if not isinstance(cfg, dict):
        return
    if "type" not in cfg:
        if isinstance(cfg.get("cfg_path"), str):  # MMRazor's form of a model from another package
            package = cfg["cfg_path"].partition("::")[0]
            require_package(package, f"{key}.cfg_path = {cfg['cfg_path']!r}")
            return
        raise ConfigError(key, list(cfg), "a dict with `type`")
    scope = cfg.get("_scope_", scope)
    kind = find_type(cfg["type"], scope, f"{key}.type")
    if is_distiller(kind):
        check_arguments(cfg, kind, key, complete=False)
        for name in ("architecture", "teacher"):
            if name not in cfg:
                raise ConfigError(key, cfg["type"], f"`{name}` too")
            check_part(cfg[name], scope, f"{key}.{name}")
        weighting = cfg.get("weighting")
        if isinstance(weighting, dict):
            check_arguments(
                weighting, find_type(weighting.get("type"), scope, f"{key}.weighting.type"), f"{key}.weighting"
            )
        elif weighting is not None:
            raise ConfigError(f"{key}.weighting", weighting, "a dict with `type`")
        if isinstance(cfg.get("distiller"), dict):
            check_distiller(cfg["distiller"], scope, f"{key}.distiller")
            _check_overhaul(cfg, kind, scope, key)
            if not is_mmdists(kind):
                _check_told(cfg["distiller"], scope, f"{key}.distiller")
        elif (weighting is None and cfg.get("pseudo_labels") is None) or cfg.get("distiller") is not None:
            raise ConfigError(f"{key}.distiller", cfg.get("distiller"), "a dict with `type`")
        return
    _check_children(cfg, scope, key)


def _check_overhaul(cfg: dict, kind: type, scope: str | None, key: str) -> None:
    """MMRazor's OFD distiller has to be made ready by the algorithm: its own and mmdist's do that."""
    from mmrazor.models.algorithms import OverhaulFeatureDistillation
    from mmrazor.models.distillers import OFDDistiller

    distiller = find_type(cfg["distiller"].get("type"), cfg["distiller"].get("_scope_", scope), f"{key}.distiller.type")
    ready = issubclass(kind, OverhaulFeatureDistillation) or is_mmdists(kind)
    if isinstance(distiller, type) and issubclass(distiller, OFDDistiller) and not ready:
        options = "an algorithm that initialises this distiller's connectors"
        hint = "write 'mmdist.SingleTeacherDistill' or 'mmrazor.OverhaulFeatureDistillation'"
        raise ConfigError(f"{key}.type", cfg["type"], options, hint)


def _check_told(distiller: dict, scope: str | None, key: str) -> None:
    """Connectors that only mmdist's algorithm tells of the other side have all that they need by themselves."""
    from mmdist.models.connectors import AlignConnector, ResizeConnector

    needed = {AlignConnector: "in_channels", ResizeConnector: "size"}
    for name, connector in (distiller.get("connectors") or {}).items():
        for part in connector if isinstance(connector, list | tuple) else [connector]:
            if not isinstance(part, dict):
                continue
            place = f"{key}.connectors.{name}"
            kind = find_type(part.get("type"), part.get("_scope_", distiller.get("_scope_", scope)), f"{place}.type")
            lacking = needed.get(kind)
            if lacking and part.get(lacking) is None:
                wanted = f"a value, or model.type='mmdist.SingleTeacherDistill', which finds the {lacking} itself"
                raise ConfigError(f"{place}.{lacking}", None, wanted)


def is_mmdists(kind: type) -> bool:
    """The class is mmdist's algorithm, or inherits from it."""
    from mmdist.models.algorithms import SingleTeacherDistill

    return issubclass(kind, SingleTeacherDistill)


def is_distiller(kind: Any) -> bool:
    """The class is a distillation algorithm with one teacher."""
    if find_spec("mmrazor") is None or not isinstance(kind, type):
        return False
    from mmrazor.models.algorithms import SingleTeacherDistill

    return issubclass(kind, SingleTeacherDistill)


def _check_children(cfg: dict, scope: str | None, key: str) -> None:
    for name, value in cfg.items():
        parts = value if isinstance(value, list | tuple) else [value]
        for index, part in enumerate(parts):
            if not isinstance(part, dict):
                continue
            place = f"{key}.{name}" + (f".{index}" if parts is value else "")
            inner = part.get("_scope_", scope)
            registry = "model" if name in LAYERS and inner in LAYER_SCOPES else PARTS.get(name)
            if registry and isinstance(part.get("type"), str):
                find_type(part["type"], inner, f"{place}.type", registry)
            _check_children(part, inner, place)
