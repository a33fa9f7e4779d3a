"""What the tests run in several processes with DDP around an algorithm."""

from __future__ import annotations

from typing import Any

import torch
from mmengine.model import MMDistributedDataParallel
from mmengine.optim import build_optim_wrapper

from .tiny_models import algorithm, batch, distiller, segmentor
from .unlabeled_data import raw_batch


def adaptive(names: tuple[str, ...] = ("head.fc", "backbone.layer4.1.conv2"), **changes):
    """A classifier under a teacher of which some modules train."""
    cfg = distiller()
    cfg["student_recorders"]["labels"] = dict(type="mmrazor.ModuleInputs", source="head.loss_module")
    cfg["distill_losses"]["loss_ta"] = dict(type="mmdist.AcclimationLoss")
    cfg["loss_forward_mappings"]["loss_ta"] = dict(
        preds_T=dict(recorder="logits", from_student=False),
        preds_S=dict(recorder="logits", from_student=True),
        gt_labels=dict(recorder="labels", from_student=True, data_idx=1),
    )
    return algorithm(distiller=cfg, acclimated=list(names), **changes)


def losses_after_a_stop(rank: int) -> list[str]:
    """Train with DDP, stop the distillation as MMRazor's hook does, train on; the names of the last losses."""
    torch.manual_seed(0)
    model = MMDistributedDataParallel(adaptive(random_teacher=True))
    optim = build_optim_wrapper(model, dict(optimizer=dict(type="SGD", lr=0.01)))
    model.train_step(batch(), optim)
    model.module.distillation_stopped = True
    for _ in range(3):
        log = model.train_step(batch(), optim)
    return sorted(log)


def step_with_unlabeled(rank: int) -> dict[str, torch.Tensor]:
    """Two iterations with DDP, on images of other sizes in each process; the parameters afterwards."""
    torch.manual_seed(0)
    model = algorithm(
        architecture=segmentor(), teacher=segmentor(8), distiller=distiller("decode_head.conv_seg"), random_teacher=True
    )
    model = MMDistributedDataParallel(model)
    optim = build_optim_wrapper(model, dict(optimizer=dict(type="SGD", lr=0.01)))
    for _ in range(2):
        model.train_step(raw_batch("mmseg", [(16, 12)] * 2, [(12, 16 - 4 * rank)] * 3), optim)
    return dict(model.named_parameters())


def trainings(rank: int) -> dict[str, Any]:
    """All that is trained with DDP here, in one process of several."""
    return dict(stopped=losses_after_a_stop(rank), unlabeled=step_with_unlabeled(rank))
