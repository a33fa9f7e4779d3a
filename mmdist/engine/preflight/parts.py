"""What a registry builds from a dict with a ``type``, and what it builds inside that."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from mmdist.engine.lookup import check_arguments, find_type
from mmdist.errors import ConfigError

# A key that holds parts of the same registry, or of another, whatever has it.
INSIDE = {
    "dataset": {
        "dataset": "dataset",
        "datasets": "dataset",
        "labeled": "dataset",
        "unlabeled": "dataset",
        "images": "dataset",
        "pipeline": "transform",
    },
    "transform": {"transforms": "transform", "policies": "transform"},
    "hook": {"switch_pipeline": "transform", "pipeline": "transform"},
    "visualizer": {"vis_backends": "vis_backend"},
}
GIVEN = {"vis_backend": ("save_dir",)}  # what their holder adds
OTHERS = ("Albu", "Albumentations")  # their `transforms` are of another library


def check_part(
    cfg: Any,
    registry: str,
    scope: str | None,
    key: str,
    *,
    given: Collection[str] = (),
    own: Collection[str] = (),
    default: str | None = None,
) -> Any:
    """A part can be built: its type is registered, its arguments are those of the constructor, and so on inside.

    Args:
        cfg (Any): The part. What is no dict is built already.
        registry (str): Name of mmengine's registry, such as ``dataset``.
        scope (str, optional): The default scope where the part stands.
        key (str): Path of the part in the config.
        given (Collection[str]): Arguments that whoever builds it adds.
        own (Collection[str]): Keys that whoever builds it takes out.
        default (str, optional): The type of a part that names none.

    Returns:
        Any: The class; None where it cannot be known.

    Raises:
        ConfigError: The first mistake found.
    """
    if not isinstance(cfg, dict):
        if isinstance(cfg, str | int | float | bool | list | tuple):
            raise ConfigError(key, cfg, "a dict with `type`")
        return None
    scope = cfg.get("_scope_", scope)
    if cfg.get("type", default) is None:
        raise ConfigError(key, cfg, "a dict with `type`")
    kind = find_type(cfg.get("type", default), scope, f"{key}.type", registry)
    check_arguments(cfg, kind, key, given=given, own=own)
    if getattr(kind, "__name__", "") not in OTHERS:
        for name, inner in INSIDE.get(registry, {}).items():
            check_parts(cfg.get(name), inner, scope, f"{key}.{name}", given=GIVEN.get(inner, ()))
    return kind


def check_parts(cfg: Any, registry: str, scope: str | None, key: str, **options: Any) -> None:
    """A part, or a list of parts, or of such lists. Anything else is left to the constructor."""
    if isinstance(cfg, dict) and "type" in cfg:
        check_part(cfg, registry, scope, key, **options)
    elif isinstance(cfg, list | tuple):
        for index, part in enumerate(cfg):
            check_parts(part, registry, scope, f"{key}.{index}", **options)
