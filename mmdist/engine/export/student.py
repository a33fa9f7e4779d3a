"""The student as its plain config builds it."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from mmengine.config import ConfigDict
from mmengine.model import BaseModel, revert_sync_batchnorm
from mmengine.registry import DefaultScope
from torch import Tensor

from mmdist import compat
from mmdist.engine.config import load_config
from mmdist.engine.export.recorded import PACKAGES, check_recorded_model, read_recorded_config
from mmdist.engine.preflight.model import check_part
from mmdist.errors import CheckpointError, ConfigError, MMDistError, printable

PRETRAINED = ("init_cfg", "pretrained")  # weights that building would fetch, and the export replaces


@dataclass(frozen=True)
class StudentConfig:
    """What builds the student.

    Args:
        model (Any): Its config: a dict, or a path where a config of the user's gives one.
        scope (str, optional): The ``default_scope`` it stands in.
        preprocessor (dict, optional): The config's ``data_preprocessor``, where it stands beside the model.
        key (str): Where the model stands, for messages.
    """

    model: Any
    scope: str | None
    preprocessor: Any
    key: str

    def build(self) -> BaseModel:
        """Build the student on the CPU, in evaluation mode, its weights not initialised.

        Raises:
            MMDistError: It cannot be built, with the key path.
        """
        from mmdist.models.builder import build_model, load_model_config

        compat.apply()  # again: building imports mmengine's runner
        with DefaultScope.overwrite_default_scope(self.scope):
            model = load_model_config(self.model, self.key) if isinstance(self.model, str) else deepcopy(self.model)
            if isinstance(model, dict):
                model = _without_pretrained(model)
                if "type" in model and self.preprocessor is not None:
                    model.setdefault("data_preprocessor", deepcopy(self.preprocessor))
            check_part(model, self.scope, self.key)
            try:
                built = build_model(model, self.key)
            except MMDistError:
                raise
            # A constructor may fail in any way; the user needs to know that it was the student's.
            except Exception as error:
                kind = model.get("type") if isinstance(model, dict) else type(model).__name__
                raise ConfigError(self.key, kind, hint=f"it cannot be built: {error}") from error
        return revert_sync_batchnorm(built).eval()


def student_from_file(path: str) -> StudentConfig:
    """The student of a distillation config, or the model of a plain one.

    Args:
        path (str): The config, or ``pkg::path``.

    Returns:
        StudentConfig: What builds it.

    Raises:
        MMDistError: The file cannot be read, or has no model.
    """
    cfg = load_config(path, "--config")
    if not isinstance(cfg.get("model"), dict):
        raise ConfigError("--config", path, "a config file that has a `model`")
    return _student_of(cfg, f"--config {path}: model")


def student_from_checkpoint(meta: Mapping[str, Any], path: str) -> StudentConfig:
    """The student of the config that a checkpoint carries, which the user has said to trust; nothing of it is run.

    Args:
        meta (Mapping[str, Any]): The checkpoint's ``meta``.
        path (str): The checkpoint, for messages.

    Returns:
        StudentConfig: What builds it.

    Raises:
        MMDistError: There is none, or none that is safe to build from; the remedy is ``--config``.
    """
    cfg = read_recorded_config(meta.get("cfg"), path)
    student = _student_of(cfg, f"{path}: model")
    model = student.model
    named = model if isinstance(model, str) else model.get("cfg_path") if isinstance(model, dict) else None
    if named is not None:
        if not _is_of_package(str(named)):
            raise CheckpointError(f"{path}: its config names the student by a file: give --config {printable(named)}")
        model = {name: value for name, value in model.items() if name != "cfg_path"} if isinstance(model, dict) else {}
    check_recorded_model(_without_pretrained(model), student.scope, path)
    check_recorded_model(_without_pretrained(student.preprocessor), None, path)
    return student


def _is_of_package(path: str) -> bool:
    """A config that is installed with a package; joined to an absolute path, it would be that path's."""
    package, separator, inside = path.partition("::")
    parts = PurePosixPath(inside).parts
    within = "\\" not in inside and ":" not in inside and ".." not in parts and not inside.startswith(("/", "~"))
    return bool(separator) and package in PACKAGES and within and inside.endswith(".py")


def check_fit(model: BaseModel, state: Mapping[str, Tensor], path: str, key: str) -> None:
    """The weights are those of the student, all of them and no others.

    Args:
        model (BaseModel): The student.
        state (Mapping[str, Tensor]): Plain names.
        path (str): The checkpoint, for messages.
        key (str): Where the student's config stands.

    Raises:
        CheckpointError: They are not; lists keys.
    """
    from mmdist.models.builder import first_keys, unfit_keys

    own = model.state_dict()
    wrong = unfit_keys(model, state) + [f"{name} (not in the model)" for name in state if name not in own]
    if wrong:
        raise CheckpointError(
            f"the student in {path} does not fit {type(model).__name__} of {key}: {len(wrong)} of "
            f"{len(own.keys() | state.keys())} keys: {first_keys(wrong)}. Is it the config of this run?"
        )


def _student_of(cfg: Mapping[str, Any], key: str) -> StudentConfig:
    model = cfg["model"]
    scope = model.get("_scope_", cfg.get("default_scope"))
    distilled = "architecture" in model
    return StudentConfig(
        model["architecture"] if distilled else model,
        scope,
        cfg.get("data_preprocessor"),
        f"{key}.architecture" if distilled else key,
    )


def _without_pretrained(node: Any) -> Any:
    if isinstance(node, dict):
        return ConfigDict({k: _without_pretrained(v) for k, v in node.items() if k not in PRETRAINED})
    if isinstance(node, list | tuple):
        return type(node)(_without_pretrained(value) for value in node)
    return node
