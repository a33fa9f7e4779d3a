"""Time and memory of one contender's steps."""

from __future__ import annotations

import copy
import gc
import json
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import accumulate
from pathlib import Path
from typing import Any

import torch
from mmengine.logging import MessageHub

from _step.cases import ITERATIONS
from _step.data import Batch
from _step.models import Contender
from mmdist.models.algorithms.records import empty

PARTS = ("data", "teacher", "student", "distill", "backward", "optimizer")


def now(device: str) -> float:
    """Seconds on the clock, when the device has done what it was given."""
    if device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter()


@contextmanager
def training_at(iteration: int) -> Iterator[None]:
    """Inside, the training is at this iteration, as far as losses and weightings can see."""
    hub = MessageHub.get_current_instance()
    place = {"iter": iteration, "max_iters": ITERATIONS}
    hub.update_info_dict(place)
    try:
        yield
    finally:
        for key in place:
            hub.pop_info(key)


@contextmanager
def timed(contender: Contender, device: str) -> Iterator[dict[str, float]]:
    """Inside, the seconds that each part of the contender's steps takes are added up.

    A part ends by an exception too: mmdist leaves the teacher that way.
    """
    seconds = dict.fromkeys(PARTS, 0.0)
    model, optim, _ = contender
    places: list[tuple[str, Any, str]] = [
        ("data", model.data_preprocessor, "forward"),
        ("teacher", model.teacher, "forward"),
        ("student", model.student, "forward"),
        ("distill", model.distiller, "compute_distill_losses"),
        ("backward", optim, "backward"),
        ("optimizer", optim, "step"),
        ("optimizer", optim, "zero_grad"),
    ]

    def wrap(part: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def run(*args: Any, **kwargs: Any) -> Any:
            begin = now(device)
            try:
                return function(*args, **kwargs)
            finally:
                seconds[part] += now(device) - begin

        return run

    for part, owner, name in places:
        vars(owner)[name] = wrap(part, getattr(owner, name))
    try:
        yield seconds
    finally:
        for _, owner, name in places:
            del vars(owner)[name]


def seconds_of(contender: Contender, data: Batch, device: str) -> tuple[float, dict[str, float]]:
    """Wall-clock time of one step, and its losses."""
    data = copy.deepcopy(data)  # data preprocessors write into the samples
    gc.collect()
    with training_at(contender.iteration):
        begin = now(device)
        values = contender.model.train_step(data, contender.optim)
        seconds = now(device) - begin
    return seconds, {name: float(value.detach()) for name, value in values.items() if "loss" in name}


def peak_bytes(function: Callable[[], Any], device: str) -> int:
    """Peak of the memory that the function allocates beyond what is there before."""
    gc.collect()
    if device == "cuda":
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        function()
        torch.cuda.synchronize()
        return torch.cuda.max_memory_allocated() - before
    activities = [torch.profiler.ProfilerActivity.CPU]
    with torch.profiler.profile(activities=activities, profile_memory=True) as profile:
        function()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "trace.json"
        profile.export_chrome_trace(str(path))
        events = json.loads(path.read_text())["traceEvents"]
    changes = sorted((event["ts"], event["args"]["Bytes"]) for event in events if event.get("name") == "[memory]")
    return max(accumulate((change for _, change in changes), initial=0))


def peak_of_steps(contender: Contender, data: Batch, device: str) -> int:
    """Peak over two steps; what the first leaves recorded is there in the second."""
    empty(contender.model.distiller)
    copies = [copy.deepcopy(data) for _ in range(2)]

    def steps() -> None:
        for batch in copies:
            contender.model.train_step(batch, contender.optim)

    with training_at(contender.iteration):
        return peak_bytes(steps, device)
