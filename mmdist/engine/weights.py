"""``--teacher-ckpt`` and ``--student-ckpt``: weights given on the command line."""

from __future__ import annotations

from typing import Any

from mmengine.config import Config, ConfigDict
from mmengine.registry import DefaultScope

from mmdist.engine.latest import latest_address
from mmdist.engine.lookup import find_type
from mmdist.engine.signatures import parameters
from mmdist.errors import ConfigError


def algorithm_class(cfg: Config) -> Any:
    """The class of ``model`` when that distils, else None."""
    model = cfg.get("model")
    if not isinstance(model, dict) or "type" not in model:
        return None
    scope = model.get("_scope_", cfg.get("default_scope"))
    with DefaultScope.overwrite_default_scope(cfg.get("default_scope")):
        kind = find_type(model["type"], scope, "model.type")
    from mmdist.engine.preflight.model import is_distiller  # brings mmengine's runner along

    return kind if is_distiller(kind) else None


def set_teacher_checkpoint(cfg: Config, path: str) -> None:
    """Take the teacher's weights from a file.

    Raises:
        ConfigError: The config trains no student under a teacher.
    """
    if algorithm_class(cfg) is None:
        kind = (cfg.get("model") or {}).get("type")
        hint = f"this config has no teacher: model.type = {kind!r} is not a distillation algorithm; --teacher names one"
        raise ConfigError("--teacher-ckpt", path, hint=hint)
    cfg.model.teacher_ckpt = path


def set_student_checkpoint(cfg: Config, path: str) -> None:
    """Start the student, and it alone, from the weights in a file.

    A config without a teacher is its own student. A run that ``--resume`` continues keeps the weights that it has.

    Raises:
        ConfigError: With ``--resume CKPT`` in a plain config; or the student is not the config's to change.
    """
    kind = algorithm_class(cfg)
    if kind is None:
        _start_plain_model(cfg, path)
    elif "student_ckpt" in (parameters(kind) or ()):
        cfg.model.student_ckpt = path
    elif isinstance(cfg.model.get("architecture"), dict):  # MMRazor's own class: by mmengine's initialisation
        cfg.model.architecture.init_cfg = ConfigDict(type="Pretrained", checkpoint=path)
    else:
        raise ConfigError(
            "--student-ckpt", path, hint="model.architecture is no dict; use type='mmdist.SingleTeacherDistill'"
        )


def _start_plain_model(cfg: Config, path: str) -> None:
    if not cfg.get("resume", False):
        cfg.load_from = path
    elif cfg.get("load_from") is not None:
        raise ConfigError("--student-ckpt", path, hint="--resume CKPT replaces these weights: give one of the two")
    elif latest_address(cfg) is None:  # nothing to resume yet
        cfg.resume, cfg.load_from = False, path
