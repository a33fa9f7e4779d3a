"""A teacher's weights: without them it teaches noise, and no loss says so."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from mmengine.logging import print_log
from mmengine.model import BaseModel, BaseModule, PretrainedInit
from torch import nn

from mmdist.errors import ConfigError
from mmdist.models.builder import (
    ModelSource,
    build_model,
    first_keys,
    load_model_config,
    load_weights,
    mark_initialised,
)

if TYPE_CHECKING:
    from mmdist.models.algorithms.single_teacher_distill import SingleTeacherDistill

KEY = "model.teacher_ckpt"
LOADED = ("pretrained", "checkpoint_path")  # arguments of classes that load weights by themselves
FIRST = ("backbone", "neck")  # what an image passes first, in this order, in every task library


def build_teacher(source: ModelSource, path: str | None, *, partly: bool = False) -> BaseModel:
    """Build the teacher and load its checkpoint.

    Args:
        source (str | dict | BaseModel): See :func:`mmdist.models.builder.build_model`. A built model keeps its weights.
        path (str, optional): File or URL of the checkpoint.
        partly (bool): Take a checkpoint that fits in part. Defaults to False.

    Returns:
        BaseModel: The teacher.

    Raises:
        ConfigError: It cannot be built.
        CheckpointError: The checkpoint does not fit.
    """
    model = build_model(source, "model.teacher")
    if isinstance(source, BaseModel):  # `init_weights` would draw its weights anew
        mark_initialised(model)
    if path:
        load_weights(model, path, KEY, partly=partly)
    return model


def check_teacher_weights(algorithm: SingleTeacherDistill, source: ModelSource, path: str | None, random: bool) -> None:
    """Everything that a distillation records of a frozen teacher comes out of weights that the teacher was given.

    What is found stays on ``algorithm._teacher``, for those that use more of the teacher than its records.

    Args:
        algorithm (SingleTeacherDistill): With its distiller, whose recorders say what is asked for.
        source (str | dict | BaseModel): What the teacher was built from.
        path (str, optional): The teacher's checkpoint.
        random (bool): Whether a teacher without weights is meant.

    Raises:
        ConfigError: It has no weights; names the parts.
    """
    model, trains = algorithm.teacher, "teacher" in algorithm._modules
    if path or trains or isinstance(source, BaseModel):
        return
    cfg = load_model_config(source, "model.teacher") if isinstance(source, str) else source
    parts = parts_without_weights(model, cfg)
    if not random and hears_random(parts, _sources(algorithm.distiller)):
        raise missing_weights(model, parts)
    algorithm._teacher.without_weights, algorithm._teacher.random_meant = parts, random


def check_whole_teacher(algorithm: SingleTeacherDistill) -> None:
    """Likewise for the teacher as a whole, whose predictions are asked for too.

    Args:
        algorithm (SingleTeacherDistill): Built.

    Raises:
        ConfigError: A part of the teacher has no weights, and that is not meant.
    """
    if algorithm._teacher.without_weights and not algorithm._teacher.random_meant:
        raise missing_weights(algorithm.teacher, algorithm._teacher.without_weights)


def say_random(algorithm: SingleTeacherDistill) -> None:
    """Tell the log, at the start of a training, that the teacher's weights are random."""
    parts = algorithm._teacher.without_weights
    if parts and algorithm._teacher.random_meant:
        text = f"model.random_teacher = True: random weights in the teacher's {first_keys(parts)}"
        print_log(text, "current", logging.WARNING)


def parts_without_weights(model: nn.Module, cfg: Mapping[str, Any] | None = None) -> list[str]:
    """The parts of a model that are given no weights when it is initialised.

    A ``Pretrained`` in an ``init_cfg`` gives weights to the module that has it, with all that is in it; that is where
    the task libraries put what ``pretrained`` names. A class that takes ``pretrained`` or ``checkpoint_path`` and
    leaves no such ``init_cfg`` loads them itself: in its own ``init_weights``, or in its constructor. In the second
    case the module is marked as initialised here, because mmengine's ``init_weights`` would overwrite the weights.

    Args:
        model (nn.Module): Built, not initialised.
        cfg (Mapping, optional): Its config.

    Returns:
        list[str]: Names of top-level parts, and of smaller ones where only some of a part has weights. Parts without
        parameters and without buffers that a checkpoint would hold need none.

    Example:
        >>> from mmengine.model import BaseModule
        >>> model = BaseModule(dict(type='Pretrained', checkpoint='a.pth'))
        >>> model.head = nn.Linear(2, 2)
        >>> parts_without_weights(model), parts_without_weights(nn.Sequential(nn.Linear(2, 2), nn.ReLU()))
        ([], ['0'])
    """
    if _has_weights(model, cfg):
        return []
    return [name for part in _children(model, cfg) for name in _bare(*part)] + _own(model)


def hears_random(parts: Sequence[str], sources: Sequence[str]) -> bool:
    """Whether something that a distillation records comes out of a part without weights.

    Args:
        parts (Sequence[str]): See :func:`parts_without_weights`.
        sources (Sequence[str]): Names of the teacher's modules that are recorded; none: it is not known what is used.

    Example:
        >>> hears_random(['head'], ['backbone.layer4']), hears_random(['head'], ['head.fc']), hears_random(['head'], [])
        (False, True, True)
    """
    bare = {part.partition(".")[0] for part in parts}
    sound = []
    for part in FIRST:
        if part in bare:
            break
        sound.append(part)
    return bool(bare) and not (sources and all(source.partition(".")[0] in sound for source in sources))


def missing_weights(model: nn.Module, parts: Sequence[str], key: str = KEY) -> ConfigError:
    """The answer to a teacher without weights.

    Args:
        model (nn.Module): The teacher.
        parts (Sequence[str]): See :func:`parts_without_weights`.
        key (str): What the user should have given.
    """
    whole = {name for name, part in model.named_children() if _holds(part)} <= set(parts)
    which = "" if whole else f": its config gives no weights to {first_keys(parts)}"
    return no_weights(f"{type(model).__name__} would teach noise{which}", key)


def no_weights(why: str, key: str = KEY) -> ConfigError:
    """Likewise, where the teacher is not built.

    Args:
        why (str): What is the matter.
        key (str): What the user should have given.
    """
    given = "weights of the teacher, a file or URL (--teacher-ckpt CKPT)"
    return ConfigError(key, None, given, f"{why}; model.random_teacher=True where that is meant")


def loads_weights(init_cfg: Any) -> bool:
    """Whether an ``init_cfg`` names a checkpoint: by mmengine's type, or to a class that reads it by itself, as PVT.

    Example:
        >>> loads_weights(dict(checkpoint='pvt_tiny.pth')), loads_weights(dict(type='Kaiming', layer='Conv2d'))
        (True, False)
    """
    configs = init_cfg if isinstance(init_cfg, list | tuple) else [init_cfg]
    return any(isinstance(cfg, Mapping) and _names_checkpoint(cfg) for cfg in configs)


def _names_checkpoint(cfg: Mapping[str, Any]) -> bool:
    kind = cfg.get("type")
    if kind is None:
        return bool(cfg.get("checkpoint"))
    return kind is PretrainedInit or (isinstance(kind, str) and kind.rpartition(".")[2].startswith("Pretrained"))


def _has_weights(module: nn.Module, cfg: Mapping[str, Any] | None) -> bool:
    cfg = {} if cfg is None else cfg
    if _is_given(module) or loads_weights(cfg.get("init_cfg")):
        return True
    if any(cfg.get(key) for key in LOADED) and not any(_is_given(part) for part in module.modules()):
        if getattr(type(module), "init_weights", None) is BaseModule.init_weights:
            mark_initialised(module)
        return True
    return False


def _is_given(module: nn.Module) -> bool:
    # MMCV's attention for DETR initialises itself, at random, as soon as it is built.
    initialised = getattr(module, "_is_init", False) and not type(module).__module__.startswith("mmcv.")
    return initialised or loads_weights(getattr(module, "init_cfg", None))


def _bare(name: str, module: nn.Module, cfg: Mapping[str, Any] | None) -> list[str]:
    """A part, or what of it is without weights."""
    if not _holds(module) or _has_weights(module, cfg):
        return []
    parts = [part for child in _children(module, cfg) for part in _bare(*child)] + _own(module)
    held = [child for child, part in module.named_children() if _holds(part)] + _own(module)
    return [name] if parts == held else [f"{name}.{part}" for part in parts]


def _children(module: nn.Module, cfg: Mapping[str, Any] | None) -> Iterator[tuple[str, nn.Module, Any]]:
    for name, child in module.named_children():
        part = (cfg or {}).get(name)
        yield name, child, part if isinstance(part, Mapping) else None


def _holds(module: nn.Module) -> bool:
    """Whether a checkpoint has something for a module."""
    return any(_own(part) for part in module.modules())


def _own(module: nn.Module) -> list[str]:
    computed = module._non_persistent_buffers_set
    buffers = [name for name, _ in module.named_buffers(recurse=False) if name not in computed]
    return [name for name, _ in module.named_parameters(recurse=False)] + buffers


def _sources(distiller: Any) -> list[str]:
    """What of the teacher is recorded; nothing where it is not known what a distiller uses."""
    manager, deliveries = getattr(distiller, "teacher_recorders", None), getattr(distiller, "deliveries", None)
    if manager is None or getattr(deliveries, "deliveries", None):
        return []
    return [recorder.source for recorder in manager.recorders.values()]
