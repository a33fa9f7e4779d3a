"""How large each loss is, and how hard it pulls the student, beside the task loss."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from copy import deepcopy
from dataclasses import asdict, dataclass, field
from typing import Any

from torch import Tensor

from mmdist.apis.diagnosis.models import Built
from mmdist.engine.gap.gradients import gradients, inner_products, parts_of, total, untouched

TASK = "task"


@dataclass
class LossRow:
    """One loss, in means over batches.

    Args:
        name (str): ``task`` for all of the student's own losses together; of the others the name in the log.
        values (list[float]): Of each batch.
        norms (list[float]): Length of the gradient with respect to the student's parameters, of each batch.
        cosines (list[float]): Of the angle to the task loss's gradient, of batches in which both are there.
        weight (float, optional): Its ``loss_weight``, where it has one.
    """

    name: str
    values: list[float] = field(default_factory=list)
    norms: list[float] = field(default_factory=list)
    cosines: list[float] = field(default_factory=list)
    weight: float | None = None

    @property
    def value(self) -> float:
        """Mean over the batches."""
        return sum(self.values) / max(len(self.values), 1)

    @property
    def norm(self) -> float:
        """Mean length of the gradient."""
        return sum(self.norms) / max(len(self.norms), 1)

    @property
    def cosine(self) -> float | None:
        """Mean over the batches; None where one of the two has no gradient."""
        return sum(self.cosines) / len(self.cosines) if self.cosines else None

    @property
    def finite(self) -> bool:
        """No batch gave NaN or infinity."""
        return all(math.isfinite(number) for number in [*self.values, *self.norms])

    def as_dict(self) -> dict[str, Any]:
        """For programs."""
        return {**asdict(self), "value": self.value, "norm": self.norm, "cosine": self.cosine}


@dataclass
class Losses:
    """All losses of the training.

    Args:
        rows (dict[str, LossRow]): By name, the task loss first.
        reached (set[str]): The student's parameters that any loss has a gradient for.
        trainable (int): How many of the student's parameters ask for gradients.
        batches (int): How many were looked at.
    """

    rows: dict[str, LossRow] = field(default_factory=dict)
    reached: set[str] = field(default_factory=set)
    trainable: int = 0
    batches: int = 0

    def ratio(self, name: str) -> float | None:
        """How many times as long as the task loss's a loss's gradient is; None where the task has none."""
        task = self.rows.get(TASK)
        return self.rows[name].norm / task.norm if task is not None and task.norm > 0 else None

    @property
    def any_gradient(self) -> bool:
        """Something pulls at the student."""
        return bool(self.reached)


def measure_losses(built: Built, batches: Iterable[Any]) -> Losses:
    """Compute the losses of training batches, and the gradient of each by itself.

    Weights, statistics, modes and gradients are afterwards what they were before.

    Args:
        built (Built): The models.
        batches (Iterable): Training batches as they come from the dataloader.

    Returns:
        Losses: Of all of them.
    """
    model, student = built.model, built.student
    parts = parts_of(student)
    known = {id(parameter): name for name, parameter in student.named_parameters()}
    names = [known[id(parameter)] for part in parts.values() for parameter in part]
    found = Losses(trainable=len(names))
    with untouched(model):
        model.train()
        for batch in batches:
            found.batches += 1
            data = model.data_preprocessor(deepcopy(batch), True)  # which may write into its data samples
            terms = named_terms(model._run_forward(data, mode="loss"), built.distils)
            task: list[Tensor | None] = []
            left = [name for name, (_, loss) in terms.items() if loss is not None]
            for name, (value, loss) in terms.items():
                keep = loss is not None and name != left[-1]
                flat = [grad for part in gradients(loss, parts, model, keep=keep).values() for grad in part]
                task = flat if name == TASK else task or [None] * len(flat)
                row = found.rows.setdefault(name, LossRow(name))
                _add(row, value, flat, task)
                pulled = [grad is not None and bool(grad.any()) for grad in flat]
                found.reached |= {name for name, pulls in zip(names, pulled, strict=True) if pulls}
    for name, row in found.rows.items():
        row.weight = _weight(model, name)
    return found


def named_terms(losses: Mapping[str, Any], distils: bool) -> dict[str, tuple[float, Tensor | None]]:
    """The losses of one step by the names of the report: value, and scalar with a graph if there is one.

    Args:
        losses (Mapping[str, Any]): Of a training step.
        distils (bool): They have prefixes, as :class:`mmdist.models.algorithms.SingleTeacherDistill` gives them.

    Returns:
        dict[str, tuple[float, Tensor | None]]: The task first. A teacher's own losses are left out.

    Example:
        >>> import torch
        >>> named_terms({'student.loss_ce': torch.tensor(2.0), 'distill.loss_kd': torch.tensor(3.0)}, True)
        {'task': (2.0, None), 'distill.loss_kd': (3.0, None)}
    """
    groups: dict[str, dict[str, Any]] = {}
    for name, value in losses.items():
        if "loss" not in name or (distils and name.startswith("teacher.")):
            continue
        task = not distils or name.startswith("student.")
        groups.setdefault(TASK if task else name, {})[name] = value
    ordered = sorted(groups, key=lambda name: name != TASK)
    return {name: (_value(groups[name]), total(groups[name], "")) for name in ordered}


def _weight(model: Any, name: str) -> float | None:
    """The weight of a distillation loss; None where it has none, or has it at 0."""
    modules = getattr(getattr(model, "distiller", None), "distill_losses", None)
    name = name.removeprefix("distill.")
    weight = getattr(modules[name], "loss_weight", None) if modules is not None and name in modules else None
    return float(weight) if isinstance(weight, int | float) and weight else None


def _value(losses: Mapping[str, Any]) -> float:
    items = [item for value in losses.values() for item in (value if isinstance(value, list | tuple) else [value])]
    return sum(float(item.detach().float().mean()) for item in items)


def _add(row: LossRow, value: float, own: list[Tensor | None], task: list[Tensor | None]) -> None:
    dot, first, second = inner_products(own, task)
    row.values.append(value)
    row.norms.append(math.sqrt(first) if first >= 0 else math.nan)
    if row.name != TASK and first > 0 and second > 0 and math.isfinite(first * second):
        row.cosines.append(dot / math.sqrt(first * second))
