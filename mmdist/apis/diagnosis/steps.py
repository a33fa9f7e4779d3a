"""Some real iterations: where their time goes, how much memory they take, and what they move."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from copy import deepcopy
from dataclasses import asdict, dataclass, field
from statistics import median
from typing import Any

import torch
from mmengine.config import Config
from torch import Tensor

from mmdist.apis.diagnosis.models import Built

MIB = 1024**2
TEACHER = ("prepare", "record_before_student", "record_rois", "infer")


@dataclass
class Steps:
    """What iterations of the training took and did.

    Args:
        seconds (dict[str, float]): Median of an iteration by part; ``data`` is one batch loaded by one process.
        batch (int): Images of a batch.
        workers (int): Processes that will load the data.
        memory (float): Peak, in MiB.
        device (str): Whose memory that is: cpu is the whole process's.
        fates (dict[str, str]): What became of each of the student's parameters; see :func:`fate`.
    """

    seconds: dict[str, float] = field(default_factory=dict)
    batch: int = 0
    workers: int = 0
    memory: float = 0.0
    device: str = "cpu"
    fates: dict[str, str] = field(default_factory=dict)

    @property
    def computing(self) -> float:
        """Seconds of an iteration without the data."""
        return sum(value for name, value in self.seconds.items() if name != "data")

    @property
    def waiting(self) -> float:
        """Seconds that an iteration waits for its data: with workers, what they do not manage meanwhile."""
        data = self.seconds.get("data", 0.0)
        return max(0.0, data / self.workers - self.computing) if self.workers else data

    def as_dict(self) -> dict[str, Any]:
        """For programs."""
        return {**asdict(self), "computing": self.computing, "waiting": self.waiting}


def run_steps(cfg: Config, built: Built, batches: Sequence[Any], loading: Sequence[float], reached: set[str]) -> Steps:
    """Train for some iterations, at the optimizer's own learning rate: schedules and warm-ups are left out.

    The weights of the models change. The first iteration does not count in the times, if there are more.

    Args:
        cfg (Config): With ``optim_wrapper``.
        built (Built): The models.
        batches (Sequence): Training batches.
        loading (Sequence[float]): Seconds that each took to load.
        reached (set[str]): The student's parameters that a loss has a gradient for.

    Returns:
        Steps: Times, memory, and what moved.
    """
    from mmengine.optim import build_optim_wrapper

    model, student = built.model, built.student
    optim = deepcopy(cfg.optim_wrapper)
    if optim.get("type") == "AmpOptimWrapper":
        optim.loss_scale = 1.0  # a dynamic scale may skip the first steps, which would then move nothing
    wrapper = build_optim_wrapper(model, optim)
    # With accumulated gradients the optimizer steps after the last of these at the latest.
    wrapper.initialize_count_status(model, 0, len(batches))
    rates = {id(p): float(group["lr"]) for group in _groups(wrapper) for p in group["params"]}
    before = {name: parameter.detach().clone() for name, parameter in student.named_parameters()}
    device = next(model.parameters()).device
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    model.train()
    rounds = []
    for batch in batches:
        watch = Stopwatch(device)
        own = deepcopy(batch)  # a data preprocessor may write into its data samples
        with watch.around(built, wrapper), watch.timed("whole"):
            model.train_step(own, wrapper)
        rounds.append(watch.seconds)
    steps = Steps(
        seconds=_medians(rounds[1:] or rounds, loading[1:] or loading),
        batch=batch_size(batches[0]),
        workers=int(cfg.train_dataloader.get("num_workers", 0)),
        memory=_peak_memory(device),
        device=device.type,
    )
    for name, parameter in student.named_parameters():
        steps.fates[name] = fate(parameter, before[name], rates.get(id(parameter)), name in reached)
    return steps


def fate(parameter: Tensor, before: Tensor, rate: float | None, reached: bool) -> str:
    """What became of a parameter in the optimizer's steps.

    Args:
        parameter (Tensor): Afterwards.
        before (Tensor): Its value before.
        rate (float, optional): Its learning rate; None: the optimizer does not have it.
        reached (bool): A loss has a gradient for it.

    Returns:
        str: ``moved``, or the reason why it did not.

    Example:
        >>> fate(torch.ones(2, requires_grad=True), torch.ones(2), 0.0, True)
        'its learning rate is 0'
    """
    if not torch.equal(parameter.detach(), before):
        return "moved"
    if not parameter.requires_grad:
        return "requires_grad is False"
    if rate is None:
        return "the optimizer does not have it"
    if rate == 0:
        return "its learning rate is 0"
    return "the step is too small to change it" if reached else "no loss has a gradient for it"


def batch_size(batch: Any) -> int:
    """Images in a batch as the dataloader gives it; 0 where it is of another form."""
    inputs = batch.get("inputs") if isinstance(batch, dict) else None
    if isinstance(inputs, dict):  # several views of one image
        inputs = next(iter(inputs.values()), None)
    return len(inputs) if isinstance(inputs, list | tuple | Tensor) else 0


class Stopwatch:
    """Seconds of the parts of one iteration.

    Args:
        device (torch.device): Waited for before the time is read.
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.seconds: dict[str, float] = {}

    @contextmanager
    def timed(self, name: str) -> Iterator[None]:
        """Add what happens inside to a part."""
        start = self._now()
        try:
            yield
        finally:
            self.seconds[name] = self.seconds.get(name, 0.0) + self._now() - start

    @contextmanager
    def around(self, built: Built, wrapper: Any) -> Iterator[None]:
        """Inside, the passes of the models and the optimizer's update are timed."""
        model = built.model
        with ExitStack() as stack:
            stack.enter_context(self.method(wrapper, "update_params", "backward and step"))
            if not built.distils:
                stack.enter_context(self.method(model, "_run_forward", "model and loss"))
                yield
                return
            for name in TEACHER:
                stack.enter_context(self.method(model._teacher, name, "teacher"))
            if model.teacher_trainable:
                stack.enter_context(self.method(model.teacher, "forward", "teacher"))
                stack.enter_context(self.method(model.student, "forward", "student and task loss"))
            else:
                stack.enter_context(self.method(model, "_student_loss", "student and task loss"))
            stack.enter_context(self.method(model, "_distill_losses", "distillation losses"))
            yield

    @contextmanager
    def method(self, owner: Any, name: str, part: str) -> Iterator[None]:
        """Inside, the calls of an object's method are timed."""
        method = getattr(owner, name)
        before = owner.__dict__.get(name)

        def timed(*args: Any, **kwargs: Any) -> Any:
            with self.timed(part):
                return method(*args, **kwargs)

        owner.__dict__[name] = timed
        try:
            yield
        finally:
            del owner.__dict__[name]
            if before is not None:
                owner.__dict__[name] = before

    def _now(self) -> float:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        return time.perf_counter()


def _medians(rounds: Sequence[dict[str, float]], loading: Sequence[float]) -> dict[str, float]:
    parts = [name for name in rounds[0] if name != "whole"]
    order = ("teacher", "student and task loss", "model and loss", "distillation losses", "backward and step")
    seconds = {"data": median(loading)}
    for name in sorted(parts, key=order.index):
        seconds[name] = median([one.get(name, 0.0) for one in rounds])
    rest = [one["whole"] - sum(value for name, value in one.items() if name != "whole") for one in rounds]
    seconds["other"] = max(0.0, median(rest))
    return seconds


def _groups(wrapper: Any) -> Iterator[dict]:
    from mmengine.optim import OptimWrapperDict

    for one in wrapper.values() if isinstance(wrapper, OptimWrapperDict) else [wrapper]:
        yield from one.optimizer.param_groups


def _peak_memory(device: torch.device) -> float:
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / MIB
    try:
        import resource
    except ImportError:  # Windows
        return 0.0
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # KiB, but bytes on a Mac
    return peak / (MIB if sys.platform == "darwin" else 1024)
