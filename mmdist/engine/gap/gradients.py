"""Whether distillation and task pull the student the same way: the gradients of both losses, apart."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from mmengine.config import Config
from mmengine.logging import MessageHub
from mmengine.runner import set_random_seed
from torch import Tensor, nn

from mmdist.engine.export.weights import is_step
from mmdist.engine.gap.findings import Number

HUB = "mmdist_gap"
WHOLE = "all"
STEM = ("conv1", "bn1", "norm1", "stem", "patch_embed", "cls_token", "pos_embed")


@dataclass
class PartGradients:
    """The two gradients of one part of the student, batch by batch.

    Args:
        cosines (list[float]): Of the angle between them; of batches in which both are there.
        distill (list[float]): Length of the distillation's.
        task (list[float]): Length of the task's.
    """

    cosines: list[float] = field(default_factory=list)
    distill: list[float] = field(default_factory=list)
    task: list[float] = field(default_factory=list)

    def add(self, dot: float, distill: float, task: float) -> None:
        """One batch.

        Args:
            dot (float): Inner product of the two.
            distill (float): Squared length of the distillation's.
            task (float): Squared length of the task's.
        """
        self.distill.append(math.sqrt(distill))
        self.task.append(math.sqrt(task))
        if distill > 0 and task > 0:
            self.cosines.append(dot / (self.distill[-1] * self.task[-1]))

    def as_dict(self) -> dict[str, Number]:
        """Means over the batches; None where a gradient is zero throughout."""
        batches = max(len(self.task), 1)
        distill, task = sum(self.distill) / batches, sum(self.task) / batches
        return {
            "cosine": sum(self.cosines) / len(self.cosines) if self.cosines else None,
            "cosine_min": min(self.cosines, default=None),
            "cosine_max": max(self.cosines, default=None),
            "ratio": distill / task if task else None,
            "distillation": distill,
            "task": task,
        }


def compare_gradients(algorithm: Any, batches: Iterable[Any]) -> dict[str, PartGradients]:
    """The gradients of the student's parameters from the distillation losses, and from its task losses.

    cosine = <g_d, g_t> / (|g_d| |g_t|), ratio = |g_d| / |g_t|. Weights, statistics, modes and gradients are afterwards
    what they were before.

    Args:
        algorithm (BaseModel): ``mmdist.SingleTeacherDistill`` with weights.
        batches (Iterable): Training batches as they come from the dataloader.

    Returns:
        dict[str, PartGradients]: ``all`` first, then the parts of the student in their order.
    """
    parts = parts_of(algorithm.student)
    found = {WHOLE: PartGradients(), **{part: PartGradients() for part in parts}}
    with untouched(algorithm):
        algorithm.train()
        for batch in batches:
            data = algorithm.data_preprocessor(batch, True)
            losses = algorithm._run_forward(data, mode="loss")
            distill, task = total(losses, "distill."), total(losses, "student.")
            one = gradients(distill, parts, algorithm, keep=task is not None)
            other = gradients(task, parts, algorithm)
            sums = {part: inner_products(one[part], other[part]) for part in parts}
            found[WHOLE].add(*(sum(column) for column in zip(*sums.values(), strict=True)))
            for part, products in sums.items():
                found[part].add(*products)
    return found


def parts_of(student: nn.Module) -> dict[str, list[nn.Parameter]]:
    """The student's parameters that train, by part: the stages of the backbone, then whole modules.

    Args:
        student (nn.Module): Such as a detector.

    Returns:
        dict[str, list[nn.Parameter]]: By name, in the order of the model.

    Example:
        >>> model = nn.ModuleDict(dict(backbone=nn.ModuleDict(dict(layer1=nn.Linear(1, 1))), head=nn.Linear(1, 1)))
        >>> list(parts_of(model))
        ['backbone.layer1', 'head']
    """
    parts: dict[str, list[nn.Parameter]] = {}
    for name, parameter in student.named_parameters():
        if parameter.requires_grad:
            parts.setdefault(part_of(name), []).append(parameter)
    return parts


def part_of(name: str) -> str:
    """The part that a parameter belongs to.

    Example:
        >>> [part_of(f'{name}.weight') for name in ('backbone.conv1', 'backbone.layers.0.fc', 'decode_head.convs.0')]
        ['backbone.stem', 'backbone.layers.0', 'decode_head']
    """
    first, *rest = name.split(".")
    if first != "backbone" or len(rest) < 2:
        return "backbone.stem" if first == "backbone" else first
    if rest[0] in STEM:
        return "backbone.stem"
    return ".".join(
        [first, *rest[: 2 if len(rest) > 2 and rest[1].isdigit() and rest[0] in ("layers", "stages") else 1]]
    )


def total(losses: Mapping[str, Any], prefix: str) -> Tensor | None:
    """The sum of the losses of one kind, as mmengine sums them: entries with ``loss`` in their names, means of each.

    Args:
        losses (Mapping[str, Any]): Of a training step: tensors, or lists of tensors.
        prefix (str): ``distill.`` or ``student.``.

    Returns:
        Tensor | None: A scalar with a graph; None where there is nothing to train on.

    Example:
        >>> loss = torch.ones(2, requires_grad=True)
        >>> float(total({'student.loss_a': loss, 'student.acc': torch.ones(1)}, 'student.'))
        1.0
    """
    found = []
    for name, value in losses.items():
        if name.startswith(prefix) and "loss" in name:
            found += [item.mean() for item in (value if isinstance(value, list | tuple) else [value])]
    summed = sum(found[1:], start=found[0]) if found else None
    return summed if summed is not None and summed.requires_grad else None


def gradients(
    loss: Tensor | None, parts: Mapping[str, list[nn.Parameter]], model: nn.Module, *, keep: bool = False
) -> dict[str, list[Tensor | None]]:
    """The gradient of a loss by part; the model's own gradients are empty afterwards.

    Args:
        loss (Tensor, optional): A scalar; None has no gradient.
        parts (Mapping[str, list[nn.Parameter]]): See :func:`parts_of`.
        model (nn.Module): All whose gradients are to be emptied.
        keep (bool): Keep the graph for another loss.

    Returns:
        dict[str, list[Tensor | None]]: One a parameter.
    """
    if loss is not None:
        loss.backward(retain_graph=keep)  # not autograd.grad, which checkpointed blocks refuse
    found = {part: [parameter.grad for parameter in parameters] for part, parameters in parts.items()}
    model.zero_grad(set_to_none=True)
    return found


@contextmanager
def untouched(model: nn.Module) -> Iterator[None]:
    """Buffers, modes, gradients and random numbers are afterwards what they were before."""
    from mmdist.models.algorithms.randomness import isolated_randomness

    buffers = [(buffer, buffer.clone()) for buffer in model.buffers()]
    modes = [(module, module.training) for module in model.modules()]
    kept = [(parameter, parameter.grad) for parameter in model.parameters()]
    for parameter, _ in kept:
        parameter.grad = None
    try:
        with isolated_randomness():
            set_random_seed(0)
            yield
    finally:
        with torch.no_grad():
            for buffer, value in buffers:
                buffer.copy_(value)
        for module, training in modes:
            module.training = training
        for parameter, grad in kept:
            parameter.grad = grad


@contextmanager
def after_training(cfg: Config, meta: Mapping[str, Any]) -> Iterator[None]:
    """Inside, warm-ups and stages see the iteration that the checkpoint was written in; by default the last.

    Args:
        cfg (Config): With ``train_cfg``.
        meta (Mapping[str, Any]): The checkpoint's ``meta``.
    """
    train = cfg.get("train_cfg") or {}
    epochs = int(train.get("max_epochs") or 1)
    saved = {name: meta[name] for name in ("epoch", "iter") if is_step(meta.get(name))}
    epoch = (saved.get("epoch") or epochs) if train.get("max_epochs") else 1
    done = int(saved.get("iter") or train.get("max_iters") or 1)
    most = int(train.get("max_iters") or round(done * epochs / max(epoch, 1)))
    hub = MessageHub.get_instance(HUB)
    hub.update_info_dict({"iter": done - 1, "max_iters": max(most, done), "epoch": epoch - 1, "max_epochs": epochs})
    try:
        yield
    finally:
        MessageHub._instance_dict.pop(HUB, None)


def inner_products(one: list[Tensor | None], other: list[Tensor | None]) -> tuple[float, float, float]:
    """Inner product and squared lengths, in float64."""
    dot = first = second = 0.0
    for a, b in zip(one, other, strict=True):
        a, b = (None if x is None else x.double() for x in (a, b))
        dot += float((a * b).sum()) if a is not None and b is not None else 0.0
        first += float(a.square().sum()) if a is not None else 0.0
        second += float(b.square().sum()) if b is not None else 0.0
    return dot, first, second
