"""Models and parts of runs that train in a fraction of a second, for what trains beside the algorithm."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.model import BaseModule
from mmengine.optim import OptimWrapper
from mmengine.registry import MODELS, OPTIM_WRAPPERS
from mmengine.runner import Runner
from torch import Tensor, nn

from .task_runs import distilled, plain_run, student_state, train


@MODELS.register_module(force=True)
class TwoConvolutions(BaseModule):
    """A backbone of two levels of 8 channels; with ``unused``, a layer that no pass runs."""

    def __init__(self, unused: bool = False) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 8, 3, stride=4, padding=1), nn.BatchNorm2d(8), nn.ReLU())
        self.stage = nn.Conv2d(8, 8, 3, stride=2, padding=1)
        if unused:
            self.unused = nn.Linear(2, 2)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        x = self.stem(x)
        return x, self.stage(x)


@OPTIM_WRAPPERS.register_module(force=True)
class Autocast(OptimWrapper):
    """What ``AmpOptimWrapper`` does to a forward pass, on a CPU, where mmengine has it not."""

    def __init__(self, dtype: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.dtype = getattr(torch, dtype)

    def optim_context(self, model: nn.Module) -> Any:
        return torch.autocast("cpu", self.dtype)


def small(scope: str, folder: Path, *, iters: int = 3, unused: bool = False, **changes: Any) -> Config:
    """A task library's plain training of a model with two convolutions."""
    cfg = plain_run(scope, folder, iters=iters, **changes)
    cfg.model.backbone = dict(type="TwoConvolutions", unused=unused)
    if scope == "mmseg":
        cfg.model.decode_head.update(in_channels=8, in_index=1)
    elif scope == "mmdet":
        cfg.model.neck = None
        cfg.model.bbox_head.anchor_generator.strides = [4, 8]
    else:
        cfg.model.head.in_channels = 8
    return cfg


def final(run: Runner) -> dict[str, Tensor]:
    """The student's parameters: a checkpointed block updates a batch norm's statistics twice."""
    model = getattr(run.model, "module", run.model)
    return {name: value.detach() for name, value in getattr(model, "student", model).named_parameters()}


def train_unused_on_one_rank(rank: int, folder: str) -> dict[str, Tensor]:
    """One of two gloo processes whose student has a layer that no pass runs."""
    from mmdist.compat.process_group import use_cpu_model_wrapper

    os.environ.update(RANK=str(rank), LOCAL_RANK=str(rank))
    cfg = small("mmpretrain", Path(folder) / f"rank{rank}", unused=True)
    cfg.launcher, cfg.find_unused_parameters, cfg.work_dir = "pytorch", True, folder
    use_cpu_model_wrapper(cfg)
    return {name: value.clone() for name, value in student_state(train(distilled(cfg, weight=1.0))).items()}
