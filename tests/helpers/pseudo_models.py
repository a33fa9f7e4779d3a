"""Small models whose teacher labels images for the student, and what the two are given of a batch."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import torch
from helpers.unlabeled_data import raw_batch
from helpers.unlabeled_models import LABELED, UNLABELED, built
from mmengine.config import Config
from mmengine.model import BaseModel
from mmengine.registry import MODELS, DefaultScope
from torch import nn


def surer(model: nn.Module, seed: int = 5) -> None:
    """Other weights: surer than those of a network that was just made, and of other opinions than the student."""
    torch.manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
        for name, module in model.named_modules():
            if name.endswith("conv_seg"):  # else one class is everywhere
                module.weight.normal_()


def labelling(name: str, score_thr: float, **changes: Any) -> tuple[str, Any]:
    """The scope and the algorithm, one of ``MODELS_OF`` whose images without labels get the teacher's."""
    options = dict(score_thr=score_thr, **changes.pop("options", {}))
    scope, model = built(name, pseudo_labels=options, **changes)
    surer(model.teacher)
    return scope, model.train()


def pair_of(scope: str, student: dict[str, Any], teacher: dict[str, Any] | None = None, **changes: Any) -> Any:
    """An algorithm with pseudo-labels alone, for any two models."""
    cfg = dict(
        type="mmdist.SingleTeacherDistill",
        architecture=deepcopy(student),
        teacher=deepcopy(student if teacher is None else teacher),
        distiller=None,
        random_teacher=True,
        pseudo_labels=dict(score_thr=0.0),
    )
    with DefaultScope.overwrite_default_scope(scope):
        torch.manual_seed(0)
        model = MODELS.build(Config({**cfg, **changes}))
    surer(model.teacher)
    return model.train()


def unlabelled_part(scope: str, model: BaseModel) -> dict[str, Any]:
    """The images without labels of a mixed batch, as the student's data preprocessor makes them."""
    torch.manual_seed(3)
    rest = model.data_preprocessor(raw_batch(scope, LABELED, UNLABELED), True)["unlabeled"]
    if scope == "mmseg":
        balance(model.teacher, model._teacher.prepare(rest["inputs"], rest["data_samples"]))
    return rest


@torch.no_grad()
def balance(teacher: BaseModel, images: torch.Tensor) -> None:
    """Let a segmenter find every class somewhere: on the mean its scores are equal."""
    head = teacher.decode_head[-1] if isinstance(teacher.decode_head, nn.ModuleList) else teacher.decode_head
    if hasattr(head, "num_queries"):
        return
    size = tuple(images.shape[-2:])
    scores = teacher.eval().encode_decode(images, [dict(img_shape=size, pad_shape=size) for _ in images])
    head.conv_seg.bias -= scores.mean((0, 2, 3))


def labelled_by(model: BaseModel, rest: dict[str, Any]) -> tuple[torch.Tensor, list[Any]]:
    """What the student is given of them: its view, and data samples with labels."""
    images = model._teacher.prepare(rest["inputs"], rest["data_samples"])
    return model.pseudo_labels.label(model._teacher, images, rest["inputs"], rest["data_samples"])
