"""A Runner whose every part is random: data, augmentation, dropout. A run takes a fraction of a second."""

from __future__ import annotations

import os
import random
import signal
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.dist import get_rank, get_world_size
from mmengine.evaluator import BaseMetric
from mmengine.hooks import Hook
from mmengine.model import BaseModel, MMDistributedDataParallel
from mmengine.runner import Runner
from torch import Tensor

from mmdist.compat.checkpoint import load_checkpoint_file
from mmdist.engine.hooks import add_default_hooks

SEED = 7


class Noisy:
    """Numbered samples, changed at random by all three generators."""

    def __init__(self, count: int = 10) -> None:
        self.count = count
        self.loaded: list[int] = []

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> Tensor:
        self.loaded.append(index)
        noise = random.random() + np.random.rand() + torch.rand(1).item()
        return torch.full((4,), float(index)) + noise * torch.tensor([1.0, -1.0, 0.5, 0.1])


class Toy(BaseModel):
    """Batch norm, dropout, and a list of the losses it gave, by iteration."""

    def __init__(self, width: int = 8) -> None:
        super().__init__()
        self.net = torch.nn.Sequential(
            torch.nn.Linear(4, width), torch.nn.BatchNorm1d(width), torch.nn.Dropout(0.3), torch.nn.Linear(width, 1)
        )
        self.losses: list[float] = []

    def forward(self, x: Tensor, mode: str = "tensor") -> Any:
        out = self.net(x)
        if mode != "loss":
            return [float(value) for value in out.flatten()]
        loss = (out - 1).square().mean()
        self.losses.append(loss.item())
        return {"loss": loss}


class Mean(BaseMetric):
    """The mean output, and a score that rises with every validation."""

    calls = 0

    def process(self, data_batch: Any, data_samples: Any) -> None:
        self.results += data_samples

    def compute_metrics(self, results: list) -> dict[str, float]:
        Mean.calls += 1
        return {"mean": float(np.mean(results)), "score": float(Mean.calls)}


def collate(samples: list[Tensor]) -> dict[str, Tensor]:
    """A batch as the model takes it."""
    return {"x": torch.stack(samples)}


class Tidy(Hook):
    """Ends the data workers with the run: found by the garbage collector, each takes PyTorch five seconds."""

    priority = "LOWEST"

    def after_train(self, runner: Runner) -> None:
        stop_workers(runner)


def stop_workers(runner: Runner) -> None:
    """End the data workers of a run that is over."""
    runner.train_dataloader._iterator = None
    if hasattr(runner.train_loop, "dataloader_iterator"):
        runner.train_loop.dataloader_iterator._iterator = None


def toy(
    work_dir: Path,
    *,
    epochs: int | None = None,
    iters: int | None = None,
    checkpoint: dict[str, Any] | None = None,
    val_interval: int | None = None,
    loader: dict[str, Any] | None = None,
    hooks: list[Any] | None = None,
    count: int = 10,
    width: int = 8,
    seed: int | None = None,
    safe: bool = True,
    **options: Any,
) -> Runner:
    """A Runner that has not run; give ``epochs`` or ``iters``."""
    sampler = "DefaultSampler" if epochs else "InfiniteSampler"
    common = dict(batch_size=2, num_workers=0, collate_fn=collate)
    if val_interval:
        options |= dict(
            val_dataloader=common | dict(dataset=Noisy(4), sampler=dict(type="DefaultSampler", shuffle=False)),
            val_cfg=dict(),
            val_evaluator=dict(type=Mean),
        )
    train = dict(by_epoch=True, max_epochs=epochs) if epochs else dict(by_epoch=False, max_iters=iters)
    torch.manual_seed(0)
    Toy.instances = getattr(Toy, "instances", 0) + 1
    runner = Runner(
        model=Toy(width) if get_world_size() == 1 else MMDistributedDataParallel(Toy(width)),
        work_dir=str(work_dir),
        experiment_name=f"toy{Toy.instances}",  # mmengine shares message hubs among runs of one name
        log_level="WARNING",
        train_dataloader=common | dict(dataset=Noisy(count), sampler=dict(type=sampler, shuffle=True)) | (loader or {}),
        train_cfg=train | dict(val_interval=val_interval or 1000),
        optim_wrapper=dict(optimizer=dict(type="AdamW", lr=0.01)),
        param_scheduler=[
            dict(type="LinearLR", start_factor=0.1, by_epoch=False, end=5),
            dict(type="CosineAnnealingLR", by_epoch=False, begin=5, end=100),
        ],
        default_hooks=dict(
            checkpoint=dict(type="CheckpointHook", **(checkpoint or dict(interval=1, by_epoch=bool(epochs)))),
            logger=dict(type="LoggerHook", interval=1),
        ),
        custom_hooks=[dict(type="EMAHook", momentum=0.1), Tidy(), *(hooks or [])],
        randomness=dict(seed=seed),
        **options,
    )
    if safe:
        add_default_hooks(runner)
    return runner


class SignalAt(Hook):
    """Sends this process a signal in the middle of an iteration."""

    def __init__(self, iteration: int, number: int = signal.SIGTERM, rank: int = 0) -> None:
        self.iteration, self.number, self.rank = iteration, number, rank

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None) -> None:
        if runner.iter + 1 == self.iteration and get_rank() == self.rank:
            os.kill(os.getpid(), self.number)


def preempted_rank(rank: int, folder: str) -> dict[str, Any]:
    """One of several processes: a whole run, one that the second process alone is told to end, and the rest of it."""
    run: dict[str, Any] = dict(iters=8, checkpoint=dict(interval=100, by_epoch=False), seed=SEED)
    whole = toy(Path(folder, "whole"), **run)
    whole.train()
    first, code = toy(Path(folder, "parts"), **run, hooks=[SignalAt(3, rank=1)]), None
    try:
        first.train()
    except SystemExit as end:
        code = end.code
    saved = len(load_checkpoint_file(Path(folder, "parts", "preempted.pth"))["mmdist"]["random"])
    rest = toy(Path(folder, "parts"), **run, resume=True)
    rest.train()
    losses = [runner.model.module.losses for runner in (whole, first, rest)]
    return dict(code=code, saved=saved, losses=losses)
