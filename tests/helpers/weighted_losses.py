"""What an algorithm's student hands to its losses, what these return, and what the teacher says to it."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from mmengine.logging import MessageHub
from mmengine.model import BaseModel
from torch import Tensor, nn

from mmdist.models.algorithms import SingleTeacherDistill

from .tiny_models import algorithm

TOTAL, LAST_OF_FIRST, SECOND = 100, 9, 10
CLASSIFIERS = ("conv_seg", "cls_seg", "cls_embed", "retina_cls", "gfl_cls", "conv_cls", "atss_cls", "rtm_cls")


@dataclass
class Call:
    """One call of a loss module.

    Args:
        path (str): The module's name in the student.
        logits (Tensor): As the head gives them.
        label (Any): Likewise.
        weight (Tensor, optional): Likewise.
        divisor (Any): Likewise; None: the loss has its own.
        value (Tensor): What the loss returns.
    """

    path: str
    logits: Tensor
    label: Any
    weight: Tensor | None
    divisor: Any
    value: Tensor


def at(iteration: int) -> None:
    """Iteration of a training of 100, counted from 1; the first stage of ``weighted`` ends before the tenth."""
    MessageHub.get_current_instance().update_info("iter", iteration - 1)


def training() -> MessageHub:
    """A training of 100 iterations, at its first."""
    hub = MessageHub.get_instance("rdd-test")
    hub.update_info("max_iters", TOTAL)
    at(1)
    return hub


def weighted(student: dict, teacher: dict, **options: Any) -> SingleTeacherDistill:
    """An algorithm with RDD alone; both sides are sure of something, and of other things."""
    torch.manual_seed(2)
    options = {"type": "mmdist.RDDWeighting", "warmup": SECOND, **options}
    model = algorithm(architecture=student, teacher=teacher, distiller=None, weighting=options)
    for side in (model.student, model.teacher):
        for name, module in side.named_modules():
            if any(part.endswith(CLASSIFIERS) for part in name.split(".")[-2:]):
                for parameter in module.parameters(recurse=False):
                    nn.init.normal_(parameter)
    return model.train()


def losses_of(model: SingleTeacherDistill, data: dict) -> tuple[dict[str, Any], list[Call], dict[str, Any]]:
    """One pass in ``loss`` mode.

    Returns:
        tuple: Its losses, the calls of the student's loss modules in their order, and the preprocessed batch.
    """
    data = model.data_preprocessor(copy.deepcopy(data), training=True)
    calls: list[Call] = []
    handles = [hook for name, module in loss_modules(model.student) for hook in _listen(name, module, calls)]
    try:
        return model(**data, mode="loss"), calls, data
    finally:
        for handle in handles:
            handle.remove()


def loss_modules(student: BaseModel) -> list[tuple[str, nn.Module]]:
    """The modules that a head's loss consists of, by name."""
    parts = ("loss_decode", "loss_cls", "loss_module")
    named = [(name, module) for name, module in student.named_modules() if any(p in name.split(".") for p in parts)]
    return [(name, module) for name, module in named if hasattr(module, "loss_weight")]


def _listen(name: str, module: nn.Module, calls: list[Call]) -> list[Any]:
    given: list[tuple] = []

    def before(module: nn.Module, args: tuple, kwargs: dict) -> None:
        weight = kwargs.get("weight", args[2] if len(args) > 2 else None)
        given.append((args[0], args[1], weight, kwargs.get("avg_factor"), kwargs.get("reduction_override")))

    def after(module: nn.Module, args: tuple, kwargs: dict, value: Tensor) -> None:
        logits, label, weight, divisor, override = given.pop()
        if override != "none":
            calls.append(Call(name, logits.detach(), label, weight, divisor, value.detach()))

    hooks: list[Callable] = [module.register_forward_pre_hook(before, with_kwargs=True)]
    return [*hooks, module.register_forward_hook(after, with_kwargs=True)]


@torch.no_grad()
def answers_of(teacher: BaseModel, data: dict[str, Any]) -> dict[str, Tensor]:
    """The teacher's maps by head, each computed by calling the head."""
    features = teacher.extract_feat(data["inputs"])
    found: dict[str, Any] = {}
    head = teacher.decode_head
    if isinstance(head, nn.ModuleList):
        found["decode_head.0"] = first = head[0].forward(features)
        found["decode_head.1"] = head[1].forward(features, first)
    elif type(head).__name__ == "Mask2FormerHead":
        scores, masks = (part[-1].double() for part in head(features, data["data_samples"]))
        shares = [
            sum(p[q, c] * m[q].sigmoid() for q in range(len(m)))
            for p, m in zip(scores.softmax(-1), masks, strict=True)
            for c in range(scores.shape[-1] - 1)
        ]
        found["decode_head"] = torch.stack(shares).unflatten(0, (len(scores), -1)).log()
    else:
        answer = head.forward(features)
        found["decode_head"] = answer if isinstance(answer, Tensor) else answer[0]
    auxiliary = getattr(teacher, "auxiliary_head", None)
    if isinstance(auxiliary, nn.ModuleList):
        found |= {f"auxiliary_head.{index}": part.forward(features) for index, part in enumerate(auxiliary)}
    elif auxiliary is not None:
        found["auxiliary_head"] = auxiliary.forward(features)
    return found
