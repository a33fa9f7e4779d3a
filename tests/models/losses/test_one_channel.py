"""Scores of one channel, whose softmax is always 1: refused, or said, before anything is trained on them."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from helpers.logs import warnings_logged
from helpers.tiny_models import algorithm, classifier, distiller, segmentor
from mmengine.registry import MODELS as ROOT_MODELS

import mmdist.models  # noqa: F401  (registers)
from mmdist.errors import ConfigError
from mmdist.models.losses import acclimation_loss
from mmdist.models.weightings.calls import LossCall
from mmdist.models.weightings.maps import activation
from mmdist.registry import MODELS

LABELS = torch.zeros(4, dtype=torch.long)


def build(name: str, **arguments: Any) -> torch.nn.Module:
    return MODELS.build(dict(type=f"mmdist.{name}", **arguments))


@pytest.mark.parametrize("shape", [(4, 1), (4, 1, 3, 3)])
@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("KDLoss", "KDLoss.activation"),
        ("DISTLoss", "DISTLoss.activation"),
        ("DKDLoss", "DKDLoss"),
        ("NKDLoss", "NKDLoss"),
        ("DCKDLoss", "DCKDLoss"),
    ],
)
def test_a_softmax_over_one_class_is_refused_with_sigmoid_as_the_remedy(name, key, shape):
    labels = torch.zeros(shape[0], *shape[2:], dtype=torch.long)
    with pytest.raises(ConfigError, match="sigmoid") as error:
        build(name)(torch.randn(shape), torch.randn(shape), labels)
    assert error.value.key == key
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("base", ["KDLoss", "DKDLoss", "NKDLoss", "DCKDLoss"])
def test_regions_of_one_class_are_refused_for_every_base(base):
    loss = build("SDDLoss", base=dict(type=f"mmdist.{base}"))
    with pytest.raises(ConfigError, match="sigmoid") as error:
        loss(torch.randn(4, 1, 21), torch.randn(4, 1, 21), LABELS)
    assert error.value.key.startswith("SDDLoss.base")


def test_one_class_an_anchor_is_one_class_however_many_anchors_there_are():
    loss = build("KDLoss", num_classes=1)
    with pytest.raises(ConfigError, match="sigmoid"):
        loss(torch.randn(2, 9, 4, 4), torch.randn(2, 9, 4, 4))
    build("KDLoss", num_classes=1, activation="sigmoid")(torch.randn(2, 9, 4, 4), torch.randn(2, 9, 4, 4))


@pytest.mark.parametrize(
    ("name", "arguments"),
    [("KDLoss", {}), ("DISTLoss", dict(inter_loss_weight=0)), ("SDDLoss", dict(base=dict(type="mmdist.KDLoss")))],
)
def test_a_sigmoid_over_one_class_teaches(name, arguments):
    if name == "SDDLoss":
        arguments = dict(base=dict(arguments["base"], activation="sigmoid"), split="agreement")
    else:
        arguments = dict(arguments, activation="sigmoid")
    shape = (16, 1, 21) if name == "SDDLoss" else (16, 1)
    student = torch.randn(shape, requires_grad=True)
    build(name, **arguments)(student, torch.randn(shape)).backward()
    assert student.grad.abs().sum() > 0


def test_a_relation_between_classes_alone_is_refused_for_one_class():
    loss = build("DISTLoss", activation="sigmoid", intra_loss_weight=0)
    with pytest.raises(ConfigError, match="intra_loss_weight"):
        loss(torch.randn(16, 1), torch.randn(16, 1))


def test_a_relation_between_channels_is_refused_for_one_channel_and_one_between_positions_is_not():
    student, teacher = torch.randn(2, 1, 4, 4, requires_grad=True), torch.randn(2, 1, 4, 4)
    with pytest.raises(ConfigError, match="ChannelRelationLoss"):
        build("ChannelRelationLoss")(student, teacher)
    build("SpatialRelationLoss")(student, teacher).backward()
    assert student.grad.abs().sum() > 0


def test_acclimation_without_two_other_classes_is_said_once(monkeypatch):
    monkeypatch.setattr(acclimation_loss, "_said", set())
    loss, scores = build("AcclimationLoss"), torch.randn(4, 2, requires_grad=True)
    with warnings_logged() as said:
        for _ in range(2):
            loss(scores, torch.randn(4, 2), LABELS).backward()
    assert not scores.grad.any()  # what is said is so
    assert len(said) == 1
    assert said[0].startswith("AcclimationLoss")


@pytest.mark.parametrize("loss", ["mmdist.KDLoss", "mmdist.DISTLoss", "mmdist.DKDLoss"])
def test_a_segmenter_of_one_channel_is_refused_when_the_model_is_built_with_the_whole_key(loss):
    model = segmentor()
    model["decode_head"].update(
        num_classes=2, out_channels=1, threshold=0.5, loss_decode=dict(type="mmseg.CrossEntropyLoss", use_sigmoid=True)
    )
    cfg = distiller("decode_head.conv_seg", loss)
    if loss != "mmdist.DISTLoss":
        for record in cfg["loss_forward_mappings"].values():
            record.update({name.replace("logits", "preds"): record.pop(name) for name in list(record)})
    if loss == "mmdist.DKDLoss":
        cfg["student_recorders"]["labels"] = dict(type="mmdist.Module", source="decode_head.loss_decode", what="inputs")
        cfg["loss_forward_mappings"]["loss_dist"]["gt_labels"] = dict(recorder="labels", from_student=True, data_idx=1)
    with pytest.raises(ConfigError, match="sigmoid") as error:
        algorithm(architecture=model, teacher=copy.deepcopy(model), distiller=cfg, random_teacher=True)
    assert error.value.key.startswith("model.distiller.distill_losses.loss_dist")


def test_rdd_refuses_a_softmax_over_one_class_and_takes_a_map_of_one_channel_and_a_sigmoid():
    loss = ROOT_MODELS.build(dict(type="mmpretrain.CrossEntropyLoss"))
    with pytest.raises(ConfigError, match=r"model\.weighting.*sigmoid"):
        activation(LossCall(loss, (torch.randn(4, 1), LABELS), {}))
    assert activation(LossCall(loss, (torch.randn(4, 1, 3, 3), LABELS), {})) == "softmax"  # two sides are made of it
    loss.use_sigmoid = True
    assert activation(LossCall(loss, (torch.randn(4, 1), LABELS), {})) == "sigmoid"


class TestOneObject:
    """The student and the teacher are two."""

    def built(self):
        return ROOT_MODELS.build(classifier())

    def test_the_student_is_not_its_own_teacher(self):
        model = self.built()
        with pytest.raises(ConfigError, match=r"model\.teacher.*deepcopy"):
            algorithm(architecture=model, teacher=model)
        with pytest.raises(ConfigError, match=r"model\.teacher"):
            algorithm(architecture=model, teacher=model, teacher_trainable=True)

    def test_a_copy_is_a_teacher_and_may_have_the_same_data_preprocessor(self):
        model = self.built()
        teacher = copy.deepcopy(model)
        teacher.data_preprocessor = model.data_preprocessor
        assert algorithm(architecture=model, teacher=teacher).teacher is teacher

    def test_a_shared_part_is_refused_by_name(self):
        model = self.built()
        for part in ("backbone", "head.fc", "backbone.layer1.0.bn1"):
            teacher, (parent, _, name) = copy.deepcopy(model), part.rpartition(".")
            setattr(teacher.get_submodule(parent), name, model.get_submodule(part))
            with pytest.raises(ConfigError, match=rf"model\.teacher\.{part}"):
                algorithm(architecture=model, teacher=teacher)

    def test_weights_in_one_place_of_memory_are_refused(self):
        model = self.built()
        tied = copy.deepcopy(model)
        tied.head.fc.weight = model.head.fc.weight
        assigned = copy.deepcopy(model)
        assigned.load_state_dict(model.state_dict(), assign=True)
        for teacher in (tied, assigned):
            with pytest.raises(ConfigError, match=r"model\.teacher\.\S*(weight|bias|running_mean)"):
                algorithm(architecture=model, teacher=teacher)
