"""Teacher and student from whatever a config names them by."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path

from mmengine.config import Config, ConfigDict
from mmengine.config.utils import MODULE2PACKAGE
from mmengine.logging import print_log
from mmengine.model import BaseModel
from mmengine.runner.checkpoint import CheckpointLoader
from mmrazor.registry import MODELS
from torch import Tensor

from mmdist import compat
from mmdist.errors import CheckpointError, ConfigError, MissingPackageError, nearest, printable
from mmdist.models.loading import prepare_loading, without_wrapper

compat.apply()  # again: mmengine's runner, which has the loader of weights, is imported by now

ModelSource = str | dict | BaseModel


def load_model_config(path: str, key: str) -> ConfigDict:
    """The ``model`` of a config file, ready to be built from a config of another task library.

    Args:
        path (str): A config file, or ``pkg::path`` as in ``_base_`` (``mmseg::pspnet/...py``).
        key (str): Where the path stands in the user's config, for messages.

    Returns:
        ConfigDict: The model's config, in its own library's scope, with its own data preprocessor.

    Raises:
        ConfigError: There is no such file, or no ``model`` in it.
        MissingPackageError: The library of a ``pkg::`` path is not installed.
    """
    try:
        if "::" in path:
            _require_package(path, key)
            cfg = Config.fromstring(f"_base_ = {path!r}", ".py")  # `_base_` is what resolves `pkg::`
        else:
            cfg = Config.fromfile(path)
    except FileNotFoundError as error:
        folder = Path(path).parent
        close = nearest(Path(path).name, [file.name for file in folder.glob("*.py")]) if folder.is_dir() else []
        hint = f"did you mean {str(folder / close[0])!r}?" if close else ""
        raise ConfigError(key, path, "the path of a config file (or `pkg::path`)", hint) from error
    if not isinstance(cfg.get("model"), dict):
        raise ConfigError(key, path, "a config file that has a `model`")
    model = cfg.model
    if "data_preprocessor" in cfg:  # mmpretrain writes it beside the model
        model.setdefault("data_preprocessor", cfg.data_preprocessor)
    if cfg.get("default_scope"):
        model.setdefault("_scope_", cfg.default_scope)
    return model


def _require_package(path: str, key: str) -> None:
    package = path.split("::")[0]
    if find_spec(package) is None:
        raise MissingPackageError(MODULE2PACKAGE.get(package, package), f"{key} = {path!r}")


def build_model(source: ModelSource, key: str) -> BaseModel:
    """Build a teacher or a student.

    Args:
        source (str | dict | BaseModel): A config file's path, a ``pkg::`` path, a model's config, MMRazor's
            ``dict(cfg_path='pkg::path', pretrained=...)``, or the model itself.
        key (str): Where it stands in the user's config, for messages.

    Returns:
        BaseModel: The model, weights not yet initialised.

    Raises:
        ConfigError: It cannot be built into a model.
    """
    if isinstance(source, str):
        source = load_model_config(source, key)
    if isinstance(source, dict):
        if "type" not in source and "cfg_path" in source:  # mmengine would install a missing package unasked
            _require_package(source["cfg_path"], f"{key}.cfg_path")
        source = MODELS.build(source)  # MMRazor's registry: it knows `cfg_path`
    model = source
    if not isinstance(model, BaseModel):
        raise ConfigError(key, type(model).__name__, "a config path, a model config or an mmengine BaseModel")
    return model


def unfit_keys(model: BaseModel, state: Mapping[str, Tensor]) -> list[str]:
    """What a model needs and weights do not have, by name, with the reason."""
    own = model.state_dict()
    missing = [f"{name} (missing)" for name in own if name not in state]
    return missing + [
        f"{name} ({tuple(state[name].shape)} in the file, {tuple(value.shape)} in the model)"
        for name, value in own.items()
        if name in state and state[name].shape != value.shape
    ]


def first_keys(keys: Sequence[str], most: int = 10) -> str:
    """The first keys of a list, and how many more there are.

    Example:
        >>> first_keys(['a', 'b', 'c'], most=2)
        'a, b and 1 more'
    """
    more = f" and {len(keys) - most} more" if len(keys) > most else ""
    return ", ".join(printable(key) for key in keys[:most]) + more


def load_weights(model: BaseModel, path: str, key: str, *, partly: bool = False) -> None:
    """Load a checkpoint in full: what the model needs and the file lacks is an error.

    What fits is judged after the load hooks of the model's modules, as the task libraries load. Before an error the
    model is left as it was.

    Args:
        model (BaseModel): Receives the weights; not initialised again afterwards.
        path (str): File or URL of the checkpoint.
        key (str): Where it stands in the user's config, for messages.
        partly (bool): Load what fits, and say what does not. Defaults to False.

    Raises:
        CheckpointError: The file is damaged, or keys are missing or of another shape; the message lists them.
    """
    checkpoint = CheckpointLoader.load_checkpoint(path, map_location="cpu")
    state = without_wrapper(checkpoint.get("state_dict", checkpoint))
    loading = prepare_loading(model, state)
    text, wrong = f"{key} = {path!r} does not fit {type(model).__name__}", loading.wrong
    if loading.failure:
        raise CheckpointError(f"{text}: preparing it failed: {loading.failure}. Is it the checkpoint of this config?")
    if wrong:
        text = f"{text}: {len(wrong)} of {len(model.state_dict())} keys: {first_keys(wrong)}"
        if not partly or loading.fits_nowhere:
            raise CheckpointError(f"{text}. {_advice(state, path)}")
        print_log(f"{text}; these stay as they were initialised", "current", logging.WARNING)
    loading.take()
    mark_initialised(model)


def _advice(state: Mapping[str, Tensor], path: str) -> str:
    if any(str(name).startswith("architecture.") for name in state):
        return f"It is a checkpoint of a distillation: `mmdist export {path} OUT` takes the student out"
    return "Is it the checkpoint of this config?"


def mark_initialised(model: BaseModel, *, done: bool = True) -> None:
    """Keep the weights that a model has: the runner initialises weights after building.

    Args:
        model (BaseModel): The model.
        done (bool): False takes the mark off again. Defaults to True.
    """
    for module in model.modules():
        if hasattr(module, "_is_init"):
            module._is_init = done
