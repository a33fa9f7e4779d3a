"""The contenders of a case take turns, step by step."""

from __future__ import annotations

import math
import statistics
from typing import Any

import torch
from mmengine.model import BaseModel

from _step.cases import CASES
from _step.clocks import PARTS, peak_of_steps, seconds_of, timed
from _step.data import batches
from _step.models import build, contenders

COLUMNS = (*PARTS, "rest")
TOGETHER = 10  # steps after which contenders that are to have the same losses get the same weights again
WARM_UP = 3  # by the third step, mmdist has learnt how far the teacher has to run


def difference(losses: dict[str, float], reference: dict[str, float]) -> float:
    """Largest relative difference of one step's losses; infinite where a loss is missing or is not a number."""
    pairs = [(losses.get(name, math.nan), reference.get(name, math.nan)) for name in losses | reference]
    if not pairs or not all(math.isfinite(value) for pair in pairs for value in pair):
        return math.inf
    return max(abs(a - b) / max(abs(a), abs(b)) if a != b else 0.0 for a, b in pairs)


def state_mb(model: BaseModel) -> float:
    """Size of what a checkpoint holds of a model."""
    return sum(value.numel() * value.element_size() for value in model.state_dict().values()) / 1e6


def measure(key: str, device: str, repeats: int, quick: bool) -> list[dict[str, Any]]:
    """All contenders of one case.

    Args:
        key (str): The case.
        device (str): cpu or cuda.
        repeats (int): Timed steps of each contender.
        quick (bool): Tiny models and pictures.

    Returns:
        list[dict[str, Any]]: One line a contender, the reference last; times in ms, memory in MiB, states in MB;
            how far the losses differ is None where the case does not want the same.
    """
    case = CASES[key].tiny() if quick else CASES[key]
    torch.manual_seed(0)
    teacher, student = build(case, "teacher"), build(case, "student")
    rivals = contenders(case, student, teacher, device)
    names = list(rivals)
    reference = names[-1]
    data = batches(case)
    largest = max(data, key=lambda batch: batch["inputs"][0].numel())
    plain_mb = state_mb(student)
    times: dict[str, list[float]] = {name: [] for name in names}
    parts: dict[str, list[dict[str, float]]] = {name: [] for name in names}
    worst = 0.0 if case.same else None
    for index in range(WARM_UP + repeats + max(len(data), repeats // 3)):
        turn, batch = index // len(data) % len(names), data[index % len(data)]
        losses = {}
        if case.same and index and index % TOGETHER == 0:  # rounding grows from step to step without bound
            weights = rivals[reference].model.student.state_dict()
            for name in names:
                rivals[name].model.student.load_state_dict(weights)
        for name in names[turn:] + names[:turn]:  # none is always the first
            if index < WARM_UP + repeats:
                seconds, losses[name] = seconds_of(rivals[name], batch, device)
                if index >= WARM_UP:
                    times[name].append(seconds)
            else:
                with timed(rivals[name], device) as found:
                    seconds, losses[name] = seconds_of(rivals[name], batch, device)
                parts[name].append({**found, "rest": seconds - sum(found.values())})
        if case.same:
            worst = max(worst, *(difference(losses[name], losses[reference]) for name in names))
    return [
        {
            "case": key,
            "class": name,
            "ms": 1000 * statistics.median(times[name]),
            "ratio": statistics.median(a / b for a, b in zip(times[name], times[reference], strict=True)),
            "parts_ms": {part: 1000 * statistics.median(found[part] for found in parts[name]) for part in COLUMNS},
            "peak_mib": peak_of_steps(rival, largest, device) / 2**20,
            "optimizer_parameters": sum(p.numel() for group in rival.optim.param_groups for p in group["params"]),
            "state_mb": state_mb(rival.model),
            "student_state_mb": plain_mb,
            "loss_difference": worst,
        }
        for name, rival in rivals.items()
    ]
