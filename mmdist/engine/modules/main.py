"""What can be recorded in the models of a config: every module, how often it runs, and what it returns."""

from __future__ import annotations

import copy
from fnmatch import fnmatchcase
from typing import Any

import torch
from mmengine.config import Config
from mmengine.model import BaseModel
from mmengine.registry import DefaultScope

from mmdist.engine.config import load_config
from mmdist.engine.modules.listing import Listing
from mmdist.engine.modules.models import build_models
from mmdist.engine.modules.trace import ModuleTrace, Shape, trace
from mmdist.engine.overrides import merge_options
from mmdist.errors import ConfigError, MMDistError
from mmdist.functional import resize_images

MODES = ("loss", "tensor")


def list_modules(
    path: str,
    *,
    pattern: str | None = None,
    depth: int | None = None,
    size: tuple[int, int] | None = None,
    batch_size: int = 2,
    mode: str | None = None,
    options: dict[str, Any] | None = None,
) -> Listing:
    """Build the models of a config, run each once without gradients, and say what ran.

    Args:
        path (str): A config file or ``pkg::path``, of a plain model or one with ``architecture`` and ``teacher``.
        pattern (str, optional): Only modules with this in their names, or that match it where it has ``*`` or ``?``.
        depth (int, optional): Only names of at most so many parts.
        size (tuple[int, int], optional): Run on random pictures of this height and width, in pixels.
        batch_size (int): Pictures in the batch. Defaults to 2.
        mode (str, optional): ``loss`` or ``tensor``. By default ``loss`` on real data, ``tensor`` on random pictures.
        options (dict[str, Any], optional): What ``--cfg-options`` changes in the config.

    Returns:
        Listing: Of ``student`` and ``teacher``, or of ``model``.

    Raises:
        ConfigError: A config that cannot be read, a model that cannot be built, or an argument that cannot work.
        MMDistError: A model that does not run.
    """
    _check(depth, size, batch_size)
    cfg = load_config(path)
    merge_options(cfg, options)
    cfg.pop("optim_wrapper", None)  # nothing is trained, so AMP that the CPU lacks does not matter
    with DefaultScope.overwrite_default_scope(cfg.get("default_scope")):
        models = build_models(cfg)
        first = next(iter(models.values()))
        data, real, notices = _batch(cfg, first, batch_size, size)
        modes = (mode,) if mode else MODES if real else MODES[1:]
        modules, used, shape = {}, {}, ()
        for side, model in models.items():
            own = cfg.model.get("teacher_input_size") if side == "teacher" else None
            traced, used[side], seen = _run(side, model, first, data, modes, notices, own)
            shape = shape or seen  # the student's: the teacher's may be resized
            modules[side] = {module.name: module for module in traced}
    kept = {side: _chosen(found, pattern, depth) for side, found in modules.items()}
    if not any(kept.values()):
        known = {name for found in modules.values() for name in found}
        raise ConfigError("--filter", pattern, known, "parts of a name, or a pattern with * and ?")
    types = {side: type(model).__name__ for side, model in models.items()}
    return Listing(path, shape, used, types, kept, notices)


def _check(depth: int | None, size: tuple[int, int] | None, batch_size: int) -> None:
    if depth is not None and depth < 1:
        raise ConfigError("--depth", depth, "a number above 0")
    if size is not None and min(size) < 1:
        raise ConfigError("--input-size", " ".join(map(str, size)), "height and width in pixels")
    if batch_size < 1:
        raise ConfigError("--batch-size", batch_size, "a number above 0")


def _batch(
    cfg: Config, model: BaseModel, batch_size: int, size: tuple[int, int] | None
) -> tuple[dict[str, Any], bool, list[str]]:
    from mmdist.engine.modules.batch import random_batch, real_batch

    if size is None:
        try:
            return real_batch(cfg, batch_size), True, []
        except MMDistError as reason:
            notice = f"random pictures, and so other shapes than in training are possible: {reason}"
    else:
        notice = "random pictures, because --input-size was given"
        if getattr(model.data_preprocessor, "size", None) is not None:
            model.data_preprocessor.size = size  # mmseg's would fill the pictures up to the training size
    return random_batch(cfg, model, batch_size, size), False, [notice]


def _run(
    side: str,
    model: BaseModel,
    first: BaseModel,
    data: dict,
    modes: tuple[str, ...],
    notices: list[str],
    size: int | tuple[int, int] | None = None,
) -> tuple[list[ModuleTrace], str, Shape]:
    """One pass, in the first mode that works; the batch is prepared by the student for both, as in distillation."""
    from mmdist.engine.modules.batch import first_line, size_advice
    from mmdist.models.connectors.resize import as_size  # late: it imports mmrazor

    mode, *others = modes
    model.train(mode == "loss" and side != "teacher")
    try:
        with torch.no_grad():
            batch = first.data_preprocessor(copy.deepcopy(data), training=mode == "loss")
            if size is not None:
                batch["inputs"] = resize_images(batch["inputs"], as_size(size, "model.teacher_input_size"))
            traced = trace(model, lambda: model(**batch, mode=mode))
    except Exception as error:  # whatever a model raises on a batch that does not suit it
        said = f"the {side} ({type(model).__name__}) does not run in mode={mode!r}: {first_line(error)}"
        if not others:
            other = isinstance(error, TypeError | AttributeError | NotImplementedError)  # it wants data samples
            raise MMDistError(f"{said}{'; try another --mode' if other else size_advice(error)}") from error
        notices.append(said)
        return _run(side, model, first, data, tuple(others), notices, size)
    inputs = batch["inputs"]
    return traced, mode, tuple(inputs.shape) if isinstance(inputs, torch.Tensor) else ()


def _chosen(found: dict[str, ModuleTrace], pattern: str | None, depth: int | None) -> dict[str, ModuleTrace]:
    def wanted(name: str) -> bool:
        if depth is not None and name.count(".") >= depth:
            return False
        if not pattern:
            return True
        return fnmatchcase(name, pattern) if set(pattern) & set("*?[") else pattern in name

    return {name: module for name, module in found.items() if wanted(name)}
