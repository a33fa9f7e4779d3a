"""From two configs to a pair: both models built without weights, and run once."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.registry import DefaultScope
from mmrazor.models.algorithms import BaseAlgorithm
from torch import nn

from mmdist.engine.config import find_config, load_config
from mmdist.engine.modules.batch import first_line, image_size, library_of, size_advice, training_size
from mmdist.engine.modules.models import build_models
from mmdist.engine.new import classifiers, detectors, segmenters
from mmdist.engine.new.decisions import settle
from mmdist.engine.new.dry import pictures, seed
from mmdist.engine.new.input_sizes import resized, teachers_size
from mmdist.engine.new.pair import Pair
from mmdist.engine.new.passes import given, randomise
from mmdist.engine.new.second_size import WHOLE, look_again
from mmdist.engine.new.sides import TASKS, Side
from mmdist.engine.new.watch import watch
from mmdist.errors import ConfigError, MMDistError
from mmdist.models.algorithms.input_size import is_classifier
from mmdist.models.algorithms.passes import AUXILIARY_HEAD, forward_features
from mmdist.models.builder import load_model_config
from mmdist.models.input_channels import input_channels
from mmdist.models.teacher_weights import loads_weights

LARGE = 256  # pixels of a side
WEIGHTS = (".pth", ".pt", ".ckpt", ".bin", ".safetensors")


def load_plain(path: str, key: str) -> Config:
    """The config of a model by itself.

    Raises:
        ConfigError: It cannot be read, or is one of a distillation, or one that others cannot build on.
    """
    if Path(path).suffix in WEIGHTS:
        raise ConfigError(key, path, "a config file, or pkg::path", f"weights are given with {key}-ckpt {path}")
    cfg = load_config(path, key)
    if not isinstance(cfg.get("model"), dict):
        raise ConfigError(key, path, "a config file that has a `model`")
    if "architecture" in cfg.model:
        hint = f"it is one of {cfg.model.get('type')}: name the plain config of the {key.removeprefix('--')}"
        raise ConfigError(key, path, "the config of a model by itself", hint)
    if key == "--student" and Config._is_lazy_import(str(find_config(path))):
        hint = "a written config cannot inherit from one in pure Python (`with read_base()`)"
        raise ConfigError(key, path, "a config with `_base_`", hint)
    return cfg


def load_pair(student: str, teacher: str, size: tuple[int, int] | None = None) -> Pair:
    """Inside a dry run, build both models, without weights, and run each once on random pictures.

    Args:
        student (str): Its config, or ``pkg::path``.
        teacher (str): Likewise.
        size (tuple[int, int], optional): Height and width of the pictures; by default see :func:`dry_size`.

    Returns:
        Pair: What was found.

    Raises:
        ConfigError: A config that cannot be read or built, or models of different tasks.
        MMDistError: A model that does not run.
    """
    cfg = load_plain(student, "--student")
    load_plain(teacher, "--teacher")
    both = copy.deepcopy(cfg)
    both.pop("optim_wrapper", None)  # nothing is trained
    both.model = dict(architecture=without_weights(cfg.model))
    both.model["teacher"] = without_weights(load_model_config(teacher, "--teacher"))
    with DefaultScope.overwrite_default_scope(cfg.get("default_scope")):
        models = _build(both)
        tasks = {side: TASKS.get(library_of(model) or "") for side, model in models.items()}
        for side, task in tasks.items():
            if task is None:
                wanted = "a model of MMDetection, MMSegmentation or MMPretrain"
                raise ConfigError(f"--{side}", type(models[side]).__name__, wanted)
        if tasks["student"] != tasks["teacher"]:
            wanted = f"a model for {tasks['student']}, as the student's"
            raise ConfigError("--teacher", teacher, wanted, f"this one is for {tasks['teacher']}")
        for side, model in models.items():
            _check_plain(side, model)
        _check_channels(models, teacher)
        known = training_size(cfg, models["student"])
        training = known or size or image_size(cfg, models["student"])
        size = size or dry_size(training, models.values())
        student_model = models["student"]  # which prepares the pictures for both
        batch = _preprocessed(cfg, student_model, size)
        teacher_size = teachers_size(models, training, size)
        batches = {"student": batch, "teacher": resized(batch, teacher_size)}
        sides = [_describe(name, model, tasks[name], batches[name]) for name, model in models.items()]
        look_again(cfg, sides, training, size)
    return Pair(cfg, *sides, training, size, batch, teacher_size)


def _check_plain(side: str, model: Any) -> None:
    """The model is one network for one batch, not an arrangement of several that trains in its own way."""
    parts = [
        name for name in ("student", "teacher", "teacher_model") if isinstance(getattr(model, name, None), nn.Module)
    ]
    if parts or isinstance(model, BaseAlgorithm) or type(model.data_preprocessor).__name__.startswith("MultiBranch"):
        hint = "name the plain config of the network that is to be trained, or to teach"
        raise ConfigError(f"--{side}", type(model).__name__, "the config of a model by itself", hint)


def _check_channels(models: dict[str, Any], teacher: str) -> None:
    """Both look at the same pictures."""
    given, taken = (input_channels(models[side]) for side in ("student", "teacher"))
    if given != taken:
        wanted = f"a model for pictures of {given} channel{'s' * (given > 1)}, as the student's"
        raise ConfigError("--teacher", teacher, wanted, f"this one takes {taken}")


def _build(cfg: Config) -> dict[str, Any]:
    try:
        return build_models(cfg)
    except MMDistError:
        raise
    except Exception as error:  # whatever a model raises that is given arguments which do not fit together
        raise MMDistError(f"the models cannot be built: {first_line(error)}") from error


def _preprocessed(cfg: Config, model: Any, size: tuple[int, int]) -> dict[str, Any]:
    batch = pictures(cfg, model, size)
    try:
        return model.data_preprocessor(batch, training=True)
    except Exception as error:  # whatever it, or an augmentation of whole batches, raises
        text = f"the student's {type(model.data_preprocessor).__name__} takes no random pictures: {first_line(error)}"
        raise MMDistError(text) from error


def dry_size(training: tuple[int, int], models: Iterable[Any]) -> tuple[int, int]:
    """The size of training, halved while it is large and all maps stay whole: a dry run is on the CPU, often.

    Args:
        training (tuple[int, int]): Height and width.
        models (Iterable[BaseModel]): A classifier, and one with a position for each patch, may take no other size.

    Returns:
        tuple[int, int]: Height and width.

    Example:
        >>> dry_size((512, 1024), []), dry_size((769, 769), []), dry_size((224, 224), [])
        ((128, 256), (769, 769), (224, 224))
    """
    height, width = training
    fixed = any(is_classifier(model) or getattr(getattr(model, "backbone", None), "img_size", None) for model in models)
    while not fixed and max(height, width) > LARGE and height % WHOLE == width % WHOLE == 0:
        height, width = height // 2, width // 2
    return height, width


def _describe(name: str, model: Any, task: str, batch: dict[str, Any]) -> Side:
    side = Side(name, model, task, tuple(batch["inputs"].shape))
    teaching = name == "teacher"

    def heads_alone() -> None:  # as in distillation, the auxiliary head recorded
        passed = given(batch)
        forward_features(model, passed["inputs"], passed["data_samples"], [AUXILIARY_HEAD])

    def with_losses() -> None:
        model(**given(batch), mode="loss")

    try:
        seed()
        randomise(model, batch)
        model.train(not teaching)
        with torch.no_grad():
            try:
                watched = watch(model, heads_alone if teaching else with_losses)
            except (TypeError, ValueError, AttributeError, NotImplementedError):
                if not teaching:
                    raise
                watched = watch(model, with_losses)  # as training does then
    except MMDistError:
        raise
    except Exception as error:  # whatever a model raises on pictures that do not suit it
        text = f"the {name} ({type(model).__name__}) does not run on random pictures: {first_line(error)}"
        raise MMDistError(f"{text}{size_advice(error)}") from error
    families: dict[str, Callable] = {
        TASKS["mmpretrain"]: classifiers.describe,
        TASKS["mmseg"]: segmenters.describe,
        TASKS["mmdet"]: detectors.describe,
    }
    needed = {TASKS["mmpretrain"]: "head", TASKS["mmseg"]: "decode_head"}.get(task)
    if needed and not hasattr(model, needed):
        raise ConfigError(f"--{name}", type(model).__name__, f"a model with a `{needed}`")
    families[task](side, watched)
    settle(side, batch)
    return side


def without_weights(node: Any) -> Any:
    """A model's config that loads nothing: no pretrained backbone is downloaded for a dry run.

    Example:
        >>> without_weights(dict(type='R', pretrained='a.pth', init_cfg=dict(type='Pretrained', checkpoint='b.pth')))
        {'type': 'R', 'pretrained': None, 'init_cfg': None}
    """
    if isinstance(node, list | tuple):
        return type(node)(without_weights(part) for part in node)
    if not isinstance(node, dict):
        return node
    kept = {}
    for name, value in node.items():
        if name == "init_cfg" and loads_weights(value):
            kept[name] = None
        elif name == "pretrained" and value:
            kept[name] = False if value is True else None
        else:
            kept[name] = without_weights(value)
    return type(node)(kept)
