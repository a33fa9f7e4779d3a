"""The label that the student's head leaves out is left out by what is compared beside its task loss."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from helpers.logs import warnings_logged
from helpers.tiny_models import algorithm, batch, classifier, distiller, segmentor, segmentor_batch
from mmengine.registry import MODELS
from torch import nn

from mmdist.engine.gap.segmentation import ignored_label
from mmdist.models.algorithms.inspection import inspect_batch
from mmdist.models.ignore_index import head_ignore_index
from mmdist.models.weightings.targets import find_targets

DKD = dict(type="mmdist.DKDLoss")
LOSSES = {
    "KDLoss": {},
    "DKDLoss": {},
    "NKDLoss": {},
    "DCKDLoss": {},
    "DISTLoss": {},
    "SDDLoss": dict(base=dict(type="mmdist.NKDLoss")),
    "ChannelRelationLoss": {},
}


def labelled(loss: dict[str, Any], head: str = "decode_head", labels: str = "decode_head") -> dict[str, Any]:
    """A loss of a head's class scores that takes labels."""
    sources = {"logits": dict(type="mmdist.Module", source=f"{head}.conv_seg")}
    names = ("logits_S", "logits_T") if loss["type"] == "mmdist.DISTLoss" else ("preds_S", "preds_T")
    mapping = {name: dict(recorder="logits", from_student=name.endswith("S")) for name in names}
    mapping["gt_labels"] = dict(recorder="labels", from_student=True, data_idx=1)
    cfg = dict(
        type="mmrazor.ConfigurableDistiller",
        student_recorders={
            **sources,
            "labels": dict(type="mmdist.Module", source=f"{labels}.loss_decode", what="inputs"),
        },
        teacher_recorders=copy.deepcopy(sources),
        distill_losses=dict(loss=dict(loss)),
        loss_forward_mappings=dict(loss=mapping),
    )
    if loss["type"] == "mmdist.SDDLoss":
        cfg["connectors"] = dict(regions=dict(type="mmdist.SDDHead"))
        for name in names:
            mapping[name]["connector"] = "regions"
    return cfg


def student(main: int | None = 0, auxiliary: int | None = 2) -> dict[str, Any]:
    model = segmentor(auxiliary=True)
    model["decode_head"]["ignore_index"], model["auxiliary_head"]["ignore_index"] = main, auxiliary
    return model


def of(model: Any, label: int) -> torch.Tensor:
    """The loss where every pixel has one label."""
    data = segmentor_batch()
    for sample in data["data_samples"]:
        sample.gt_sem_seg.data.fill_(label)
    return model(**model.data_preprocessor(data, training=True), mode="loss")["distill.loss"]


@pytest.mark.parametrize("name", LOSSES)
def test_a_loss_is_0_where_the_head_leaves_out_every_pixel(name):
    loss = dict(type=f"mmdist.{name}", **LOSSES[name])
    model = algorithm(architecture=student(), teacher=segmentor(8, auxiliary=True), distiller=labelled(loss))
    assert of(model, 0) == 0
    assert of(model, 1) > 0


def test_acclimation_trains_the_teacher_on_no_label_that_the_head_leaves_out():
    cfg = labelled(dict(type="mmdist.AcclimationLoss"))
    model = algorithm(
        architecture=student(),
        teacher=segmentor(8, auxiliary=True),
        distiller=cfg,
        acclimated=["decode_head.conv_seg"],
        random_teacher=True,
    )
    for label, trained in ((0, False), (1, True)):
        model.zero_grad()
        of(model, label).backward()
        assert bool(model.teacher.decode_head.conv_seg.weight.grad.any()) is trained


def test_scores_of_an_auxiliary_head_are_left_out_as_that_head_does():
    cfg = labelled(dict(type="mmdist.NKDLoss"), head="auxiliary_head")
    model = algorithm(architecture=student(), teacher=segmentor(8, auxiliary=True), distiller=cfg)
    assert of(model, 2) == 0
    assert of(model, 0) > 0


def test_what_the_config_says_is_done_and_a_difference_is_said():
    def built(index: int) -> Any:
        cfg = labelled(dict(type="mmdist.NKDLoss", ignore_index=index))
        return algorithm(architecture=student(), teacher=segmentor(8, auxiliary=True), distiller=cfg)

    with warnings_logged() as said:
        model = built(1)
    assert [text for text in said if "ignore_index = 1" in text and "0" in text]
    assert of(model, 1) == 0
    assert of(model, 0) > 0
    with warnings_logged() as said:
        built(0)
    assert not [text for text in said if "ignore_index" in text]


def test_a_head_that_names_no_label_leaves_the_task_libraries_own_left_out():
    model = algorithm(
        architecture=student(main=None, auxiliary=None),
        teacher=segmentor(8, auxiliary=True),
        distiller=labelled(dict(type="mmdist.NKDLoss")),
    )
    assert model.distiller.distill_losses["loss"].ignore_index is None
    assert find_targets(model.student, model.teacher, None, None)[0].ignore_index == 255


class LeavesOut(nn.Module):
    """A classifier's loss that leaves one label out, as PyTorch's do."""

    def __init__(self) -> None:
        super().__init__()
        self.ignore_index = 0

    def forward(self, score, label, weight=None, avg_factor=None, **kwargs):
        values = nn.functional.cross_entropy(score, label, ignore_index=0, reduction="none")
        return (values if weight is None else values * weight).sum() / (avg_factor or len(label))


def test_a_classifiers_loss_that_leaves_out_a_label_is_asked_too():
    built = MODELS.build(classifier())
    built.head.loss_module = LeavesOut()
    cfg = distiller(loss="mmdist.NKDLoss")
    cfg["student_recorders"]["labels"] = dict(type="mmdist.Module", source="head.loss_module", what="inputs")
    cfg["loss_forward_mappings"]["loss_dist"] = dict(
        preds_S=dict(recorder="logits", from_student=True),
        preds_T=dict(recorder="logits", from_student=False),
        gt_labels=dict(recorder="labels", from_student=True, data_idx=1),
    )
    model = algorithm(architecture=built, distiller=cfg)
    data = batch()
    for sample in data["data_samples"]:
        sample.set_gt_label(0)
    assert model(**model.data_preprocessor(data, training=True), mode="loss")["distill.loss_dist"] == 0
    assert find_targets(built, built, None, None)[0].ignore_index == 0  # RDD's


def test_the_head_that_predicts_is_asked_where_nobody_names_one():
    cascade = nn.Module()
    cascade.decode_head = nn.ModuleList([nn.Identity(), nn.Identity()])
    cascade.decode_head[0].ignore_index, cascade.decode_head[1].ignore_index = 7, 3
    assert head_ignore_index(cascade) == ignored_label(cascade) == 3
    assert head_ignore_index(cascade, "decode_head.0.conv_seg") == 7
    cascade.decode_head[1].ignore_index = None
    assert ignored_label(cascade) == 255


def test_a_class_that_is_left_out_is_shown_as_no_label():
    model = algorithm(
        architecture=student(),
        teacher=segmentor(8, auxiliary=True),
        distiller=labelled(dict(type="mmdist.KDLoss")),
        random_teacher=True,
    )
    data = segmentor_batch()
    expected = torch.stack([sample.gt_sem_seg.data[0] for sample in data["data_samples"]])
    found = inspect_batch(model, data, 2).labels
    assert torch.equal(found == -1, expected == 0)
    assert torch.equal(found[expected > 0], expected[expected > 0])
