"""Passes of one model of a pair: as in training, and as it decides by itself."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from typing import Any

import torch
from mmrazor.models.task_modules import RecorderManager
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from mmdist.engine.new.dry import seed
from mmdist.engine.new.sides import Side, Spot
from mmdist.models.algorithms.modes import as_in_training, evaluating
from mmdist.models.algorithms.teacher import Teacher

Batch = dict[str, Any]
NOISE = 0.02


class _SeededTeacher(Teacher):
    """A teacher whose random numbers are those of the seed, so that its passes can be compared with its predictions."""

    def own_numbers(self, stream: int, inputs: Tensor) -> AbstractContextManager[None]:
        return nullcontext()


class Reached(Exception):
    """Raised to leave a pass; with the arguments of the method that it has come to."""


def given(batch: Batch) -> Batch:
    """The batch for one pass: losses write into data samples."""
    return {key: copy.deepcopy(value) for key, value in batch.items()}


@torch.no_grad()
def randomise(model: nn.Module, batch: Batch) -> None:
    """Random weights of which none is zero, and norms that fit them, so that equal values mean equal computations.

    Args:
        model (nn.Module): Built; its weights are drawn.
        batch (dict): Preprocessed.
    """
    model.init_weights()
    for parameter in model.parameters():
        parameter.add_(NOISE * torch.randn_like(parameter))
    norms = {module: module.momentum for module in model.modules() if isinstance(module, _BatchNorm)}
    model.train()
    for norm in norms:
        norm.momentum = 1.0
    with suppress(Exception):  # the pass that is watched afterwards says what is wrong
        model(**given(batch), mode="loss")
    for norm, momentum in norms.items():
        norm.momentum = momentum


def recorders(model: nn.Module, spots: Sequence[Spot]) -> tuple[RecorderManager, list[str]]:
    """Recorders of these spots, which listen to a model, and the name of each spot's."""
    configs: dict[str, dict] = {}
    names = []
    for spot in spots:
        config = spot.config()
        name = next((known for known, other in configs.items() if other == config), f"spot_{len(configs)}")
        configs[name] = config
        names.append(name)
    manager = RecorderManager(configs)
    manager.initialize(model)
    return manager, names


@torch.no_grad()
def recorded(side: Side, batch: Batch, spots: Sequence[Spot], *, training: bool = True) -> list[Any]:
    """What a training records at these spots.

    Args:
        side (Side): Of a classifier, a segmenter or a one-stage detector.
        batch (dict): Preprocessed.
        spots (Sequence[Spot]): Where.
        training (bool): Whether the student's heads take the way of training.

    Returns:
        list[Any]: One a spot.
    """
    model = side.model
    manager, names = recorders(model, spots)
    seed()
    if side.name == "teacher":
        model.eval()
        passed = given(batch)
        _SeededTeacher(model).record(manager, passed["inputs"], passed["data_samples"], whole=True)
    else:
        with as_in_training(model) if training else evaluating(model), manager:
            model(**given(batch), mode="loss")
    found = zip(spots, names, strict=True)
    return [manager.get_recorder(name).get_record_data(spot.record_idx, spot.data_idx) for spot, name in found]


@torch.no_grad()
def reached(model: nn.Module, batch: Batch, owner: nn.Module, method: str) -> Any:
    """The first argument of a method that the model's inference calls; None where it does not call it.

    The pass ends there: what comes after it, such as the suppression of boxes, is slow with random weights.
    """

    def leave(*args: Any, **kwargs: Any) -> None:
        raise Reached(args[0] if args else next(iter(kwargs.values())))

    model.eval()
    seed()
    vars(owner)[method] = leave
    try:
        model(**given(batch), mode="predict")
    except Reached as found:
        return found.args[0]
    finally:
        del vars(owner)[method]
    return None


@torch.no_grad()
def loss_labels(model: nn.Module, batch: Batch, losses: Sequence[str]) -> dict[str, Tensor]:
    """What loss modules compare with, by their names: the second argument of their last call, as in training."""
    found: dict[str, Tensor] = {}

    def note(name: str, args: tuple, kwargs: dict) -> None:
        label = args[1] if len(args) > 1 else kwargs.get("target", kwargs.get("label"))
        if isinstance(label, Tensor):
            found[name] = label.clone()

    def listener(name: str) -> Any:
        return lambda module, args, kwargs: note(name, args, kwargs)

    handles = [model.get_submodule(name).register_forward_pre_hook(listener(name), with_kwargs=True) for name in losses]
    try:
        with as_in_training(model), suppress(Exception):
            model(**given(batch), mode="loss")
    finally:
        for handle in handles:
            handle.remove()
    return found
