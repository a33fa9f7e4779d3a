"""The models as the training would start with them, and where their weights come from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.registry import MODELS
from torch import nn

from mmdist import compat


@dataclass
class Weights:
    """Where the weights of a model come from.

    Args:
        side (str): teacher or student; model in a config without a teacher.
        model (str): Its class, and that of its backbone.
        tensors (int): Parameters and buffers.
        loaded (int): How many of them were given; the others are drawn at random.
        sources (list[str]): Files and addresses.
        random (list[str]): Parts and parameters that nothing gives weights.
        meant (bool): The config asks for random weights in words.
        taught (bool): Of a teacher that does not train: something that the student learns comes out of a random part.
    """

    side: str
    model: str
    tensors: int
    loaded: int
    sources: list[str] = field(default_factory=list)
    random: list[str] = field(default_factory=list)
    meant: bool = False
    taught: bool = False

    def as_dict(self) -> dict[str, Any]:
        """For programs."""
        return asdict(self)


@dataclass
class Built:
    """What a training would train.

    Args:
        model (BaseModel): The algorithm, or a plain model, on the device that computes.
        distils (bool): It has a teacher.
        weights (dict[str, Weights]): By side.
    """

    model: Any
    distils: bool
    weights: dict[str, Weights]

    @property
    def student(self) -> Any:
        """What the optimizer is to move."""
        return self.model.student if self.distils else self.model


def build(cfg: Config, distils: bool) -> Built:
    """Build the model and give it the weights that the training would start with.

    Args:
        cfg (Config): See :func:`mmdist.apis.diagnosis.request.prepare`.
        distils (bool): It has a teacher.

    Returns:
        Built: On the device that computes.

    Raises:
        MMDistError: A model that cannot be built, or weights that are not its own.
    """
    compat.apply()
    from mmdist.engine.runner import explained
    from mmdist.models.teacher_weights import hears_random

    if cfg.get("data_preprocessor") is not None:  # as the runner does
        cfg.model.setdefault("data_preprocessor", cfg.data_preprocessor)
    with explained(cfg):
        model = MODELS.build(cfg.model)
        sides = {"teacher": model.teacher, "student": model.student} if distils else {"model": model}
        # Before the initialisation, which marks every module as given.
        weights = {side: _weights(cfg, side, part) for side, part in sides.items()}
        if distils:
            heard = hears_random(weights["teacher"].random, _recorded(model.distiller))
            weights["teacher"].taught = heard and not model.teacher_trainable
        model.init_weights()
        if cfg.get("load_from"):
            _load(model, cfg.load_from, weights, distils)
    return Built(model.to(get_device()), distils, weights)


def _weights(cfg: Config, side: str, model: nn.Module) -> Weights:
    from mmdist.models.teacher_weights import parts_without_weights

    key = {"teacher": "teacher", "student": "architecture", "model": None}[side]
    source = cfg.model if key is None else cfg.model.get(key)
    path = cfg.model.get(f"{side}_ckpt") if key else None
    names = list(model.state_dict())
    found = Weights(side, _described(model), len(names), len(names), sources=_sources(model))
    found.meant = side == "teacher" and bool(cfg.model.get("random_teacher"))
    if path:
        found.sources = [str(path)]
        _compare(found, model, str(path))
        return found
    found.random = parts_without_weights(model, _config_of(source, f"model.{key}"))
    found.loaded -= len([name for name in names if _inside(name, found.random)])
    return found


def _compare(found: Weights, model: nn.Module, path: str, prefix: str = "") -> None:
    """Count the tensors that are those of the file, by value."""
    from mmengine.runner.checkpoint import CheckpointLoader

    from mmdist.models.loading import prepare_loading, without_wrapper

    content = CheckpointLoader.load_checkpoint(path, map_location="cpu")
    state = without_wrapper(content.get("state_dict", content))
    if prefix and any(str(name).startswith(prefix) for name in state):
        state = {name.removeprefix(prefix): value for name, value in state.items() if str(name).startswith(prefix)}
    loading = prepare_loading(model, state)
    found.random = [text.partition(" ")[0] for text in loading.wrong]
    equal = {id(own) for own, value in loading.values if torch.equal(own.cpu(), value.to(own.dtype).cpu())}
    found.loaded = min(found.tensors - len(found.random), len(equal)) if equal else 0


def _load(model: nn.Module, path: str, weights: Mapping[str, Weights], distils: bool) -> None:
    """As the runner loads ``load_from``: what fits."""
    from mmengine.runner.checkpoint import CheckpointLoader

    from mmdist.models.loading import prepare_loading, without_wrapper

    content = CheckpointLoader.load_checkpoint(path, map_location="cpu")
    prepare_loading(model, without_wrapper(content.get("state_dict", content))).take()
    side, part = ("student", model.student) if distils else ("model", model)
    weights[side].sources = [str(path)]
    _compare(weights[side], part, path, "architecture." if distils else "")


def _recorded(distiller: Any) -> list[str]:
    """What of the teacher is recorded; nothing where that is not known, as with deliveries."""
    manager, deliveries = getattr(distiller, "teacher_recorders", None), getattr(distiller, "deliveries", None)
    if manager is None or getattr(deliveries, "deliveries", None):
        return []
    return [recorder.source for recorder in manager.recorders.values()]


def _config_of(source: Any, key: str) -> Mapping[str, Any] | None:
    if isinstance(source, str):
        from mmdist.models.builder import load_model_config

        return load_model_config(source, key)
    return source if isinstance(source, Mapping) else None


def _inside(name: str, parts: Sequence[str]) -> bool:
    return any(name == part or name.startswith(f"{part}.") for part in parts)


def _sources(model: nn.Module) -> list[str]:
    """What ``init_cfg`` names, anywhere in the model."""
    found = []
    for module in model.modules():
        given = getattr(module, "init_cfg", None)
        for cfg in given if isinstance(given, list | tuple) else [given]:
            if isinstance(cfg, Mapping) and cfg.get("checkpoint"):
                found.append(str(cfg["checkpoint"]))
    return list(dict.fromkeys(found))


def _described(model: nn.Module) -> str:
    """Its class, and that of its backbone."""
    backbone = getattr(model, "backbone", None)
    name = type(model).__name__
    return name if backbone is None else f"{name} ({type(backbone).__name__})"
