"""Runs of a segmenter under RDD through mmengine's Runner."""

from __future__ import annotations

import os
from copy import deepcopy
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.runner import Runner
from torch import nn

from .task_runs import build, distilled, plain_run, quickly, train
from .tiny_students import NORM

WEIGHTING = dict(type="mmdist.RDDWeighting", threshold=0.4, min_kept=500)
AUXILIARY = dict(type="FCNHead", in_channels=16, in_index=2, channels=4, num_classes=3, norm_cfg=NORM)


def plain(folder: Path, *, iters: int, **changes: Any) -> Config:
    """Of a segmenter with an auxiliary head, on written pictures."""
    cfg = plain_run("mmseg", folder, iters=iters, **changes)
    cfg.model.auxiliary_head = deepcopy(AUXILIARY)
    return cfg


def weighted(cfg: Config, **weighting: Any) -> Config:
    """The same under a teacher of its own kind, with RDD and no other loss."""
    cfg = distilled(cfg, weighting={**WEIGHTING, **weighting})
    cfg.model.distiller = None
    return cfg


def run(cfg: Config, *hooks: Hook, exact: bool = False) -> Runner:
    """Build and train, with what mmdist's tools add to a run if it shall be resumed exactly."""
    if not exact:
        return train(cfg, *hooks)
    from mmdist.engine.hooks import add_default_hooks

    with quickly(cfg.default_scope):
        runner = build(cfg)
        add_default_hooks(runner)
        for hook in hooks:
            runner.register_hook(hook)
        runner.train()
    return runner


def history(runner: Runner, name: str) -> list[float]:
    """The values of a logged number, one an iteration."""
    return runner.message_hub.log_scalars[f"train/{name}"].data[0].tolist()


class Sure(Hook):
    """Makes the teacher's heads sure of something, so that there is a difference to see; the same in every run."""

    def before_train(self, runner: Runner) -> None:
        generator = torch.Generator().manual_seed(1)
        model = getattr(runner.model, "module", runner.model)
        for head in (model.teacher.decode_head, model.teacher.auxiliary_head):
            for parameter in head.conv_seg.parameters():
                nn.init.normal_(parameter, generator=generator)


class Agreeing(Hook):
    """Makes the teacher's heads say the same, whatever they see."""

    def before_train(self, runner: Runner) -> None:
        for head in (runner.model.teacher.decode_head, runner.model.teacher.auxiliary_head):
            for parameter in head.conv_seg.parameters():
                nn.init.zeros_(parameter)


def weighted_rank(rank: int, folder: str, iters: int, warmup: int) -> dict[str, Any]:
    """One of several gloo processes: what it logged, and its weights in the end."""
    runner = run(weighted(_of_rank(rank, folder, iters), warmup=warmup), Sure())
    found = {name: history(runner, name) for name in ("rdd.stage", "rdd.kept", "rdd.weight")}
    return dict(found, parameters=dict(runner.model.named_parameters()))


def visualized_rank(rank: int, folder: str) -> dict[str, Any]:
    """One of several gloo processes whose first draws pictures."""
    cfg = weighted(_of_rank(rank, folder, 2), warmup=2)
    cfg.custom_hooks = [
        dict(type="mmdist.DistillVisualizationHook", interval=2, out_dir=str(Path(folder) / "shown")),
    ]
    runner = run(cfg, Sure())
    return dict(stages=history(runner, "rdd.stage"), parameters=dict(runner.model.named_parameters()))


def _of_rank(rank: int, folder: str, iters: int) -> Config:
    from mmdist.compat.process_group import use_cpu_model_wrapper

    os.environ.update(RANK=str(rank), LOCAL_RANK=str(rank))
    cfg = plain(Path(folder) / f"rank{rank}", iters=iters)
    cfg.launcher, cfg.find_unused_parameters = "pytorch", False
    cfg.work_dir = folder  # one for all ranks
    use_cpu_model_wrapper(cfg)
    return cfg
