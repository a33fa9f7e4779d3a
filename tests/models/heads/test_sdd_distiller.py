"""``mmdist.SDDHead`` and ``mmdist.SDDLoss`` in a distiller, under mmdist's and MMRazor's algorithm."""

from __future__ import annotations

import copy
import gc
import pickle
import weakref

import numpy as np
import pytest
import torch
from helpers.tiny_models import batch, classifier, segmentor, segmentor_batch
from mmengine.model import ExponentialMovingAverage
from mmengine.registry import MODELS
from torch import Tensor, nn

from mmdist.errors import MMDistError
from mmdist.functional import pool_regions, region_labels, sdd_loss
from mmdist.models.recorders import ModuleRecorder, owners

ALGORITHMS = pytest.mark.parametrize("kind", ["mmdist.SingleTeacherDistill", "mmrazor.SingleTeacherDistill"])
LABELS = dict(recorder="labels", from_student=True, data_idx=1)


def distiller(source: str = "backbone", labels: str = "head.loss_module", **loss) -> dict:
    """One connector for both sides."""
    recorder = dict(feature=dict(type="mmdist.Module", source=source))
    return dict(
        type="mmrazor.ConfigurableDistiller",
        student_recorders=dict(recorder, labels=dict(type="mmdist.Module", source=labels, what="inputs")),
        teacher_recorders=recorder,
        connectors=dict(regions=dict(type="mmdist.SDDHead")),
        distill_losses=dict(loss_sdd=dict(type="mmdist.SDDLoss", **loss)),
        loss_forward_mappings=dict(
            loss_sdd=dict(
                preds_S=dict(recorder="feature", from_student=True, connector="regions"),
                preds_T=dict(recorder="feature", from_student=False, connector="regions"),
                gt_labels=LABELS,
            )
        ),
    )


def algorithm(kind: str = "mmdist.SingleTeacherDistill", **changes) -> nn.Module:
    cfg = dict(type=kind, architecture=classifier(), teacher=classifier(8), distiller=distiller())
    if kind.startswith("mmdist"):
        cfg["random_teacher"] = True
    return MODELS.build({**cfg, **changes})


def losses(model: nn.Module, data: dict) -> dict[str, Tensor]:
    return model(**model.data_preprocessor(copy.deepcopy(data), training=True), mode="loss")


def regions_of(model: nn.Module, inputs: Tensor) -> Tensor:
    """Classified one by one by the model's own neck and head."""
    (feature,) = model.backbone(inputs)
    size = feature.shape[2]
    grid = [[slice(i * size // m, -(-(i + 1) * size // m)) for i in range(m)] for m in (1, 2, 4)]
    crops = [feature[:, :, rows, columns] for cells in grid for rows in cells for columns in cells]
    return torch.stack([model.head(model.neck((crop,))) for crop in crops], dim=2)


@ALGORITHMS
@pytest.mark.parametrize("base", [dict(type="mmdist.KDLoss", tau=4.0), dict(type="mmdist.DKDLoss", beta=2.0)])
def test_the_loss_is_that_of_the_regions_of_both_models(kind, base):
    model = algorithm(kind, distiller=distiller(base=base))
    model.eval()
    data = model.data_preprocessor(batch(), training=True)
    teacher, student = (regions_of(side, data["inputs"]) for side in (model.teacher, model.student))
    target = torch.cat([sample.gt_label for sample in data["data_samples"]])
    name, hyper = base["type"].removeprefix("mmdist.").removesuffix("Loss").lower(), dict(base)
    hyper.pop("type")
    expected = sdd_loss(student, teacher, target, base=name, **hyper)
    assert expected > 0
    torch.testing.assert_close(model(**data, mode="loss")["distill.loss_sdd"], expected)


@ALGORITHMS
def test_the_students_classifier_and_backbone_learn_and_the_teacher_does_not(kind):
    model = algorithm(kind)
    losses(model, batch())["distill.loss_sdd"].backward()
    for part in (model.student.head.fc.weight, model.student.backbone.conv1.weight):
        assert part.grad.abs().sum() > 0
    assert all(parameter.grad is None for parameter in model.teacher.parameters())


@ALGORITHMS
def test_nothing_is_added_to_state_parameters_or_student(kind):
    with_head, without = algorithm(kind), algorithm(kind, distiller=dict(type="mmrazor.ConfigurableDistiller"))
    assert list(with_head.state_dict()) == list(without.state_dict())
    assert [n for n, _ in with_head.named_parameters()] == [n for n, _ in without.named_parameters()]
    before = copy.deepcopy(with_head.student.state_dict())
    with_head.eval()
    losses(with_head, batch())
    assert list(with_head.student.state_dict()) == list(MODELS.build(classifier()).state_dict())
    assert all(torch.equal(value, before[name]) for name, value in with_head.student.state_dict().items())


@ALGORITHMS
def test_regions_leave_no_trace_in_the_norm_layers_statistics(kind):
    torch.manual_seed(1)
    model, plain = algorithm(kind), MODELS.build(classifier())
    plain.load_state_dict(model.student.state_dict())
    data = batch()
    losses(model, data)
    losses(plain, data)
    assert all(torch.equal(value, model.student.state_dict()[name]) for name, value in plain.state_dict().items())


@ALGORITHMS
def test_copies_and_pickles_classify_with_their_own_student(kind):
    model, data = algorithm(kind), batch()
    model.eval()
    expected = losses(model, data)["distill.loss_sdd"]
    average = ExponentialMovingAverage(model)
    for other in (copy.deepcopy(model), pickle.loads(pickle.dumps(model)), average.module):
        other.eval()
        torch.testing.assert_close(losses(other, data)["distill.loss_sdd"], expected)
        other.student.head.fc.weight.data.mul_(3)
        assert losses(other, data)["distill.loss_sdd"] != expected
        torch.testing.assert_close(losses(model, data)["distill.loss_sdd"], expected)


@ALGORITHMS
def test_a_recorder_of_mmrazor_is_answered_with_those_that_remember_the_model(kind):
    cfg, other = distiller(), dict(type="mmrazor.ModuleOutputs", source="backbone")
    for side in ("student_recorders", "teacher_recorders"):
        cfg[side] = dict(cfg[side], feature=other)
    with pytest.raises(MMDistError, match=r"expected a record of mmdist\.Module or mmdist\.Method"):
        losses(algorithm(kind, distiller=cfg), batch())


@ALGORITHMS
@pytest.mark.parametrize("base", ["mmdist.KDLoss", "mmdist.DKDLoss", "mmdist.NKDLoss", "mmdist.DCKDLoss"])
def test_mixed_labels_are_trained_on(kind, base):
    student = classifier()
    student["head"]["loss"] = dict(type="mmpretrain.CrossEntropyLoss", use_soft=True)
    student["data_preprocessor"].update(
        num_classes=3, batch_augments=dict(augments=[dict(type="Mixup", alpha=0.8), dict(type="CutMix", alpha=1.0)])
    )
    model = algorithm(
        kind,
        architecture=student,
        data_preprocessor=student["data_preprocessor"],
        distiller=distiller(base=dict(type=base)),
    )
    torch.manual_seed(0)
    np.random.seed(0)  # without a seed the pictures are now and then mixed with those of their own class alone
    data = batch()
    mixed = model.data_preprocessor(copy.deepcopy(data), training=True)
    assert any(sample.gt_score.max() < 1 for sample in mixed["data_samples"])
    loss = model(**mixed, mode="loss")["distill.loss_sdd"]
    assert loss > 0
    loss.backward()
    assert model.student.head.fc.weight.grad.isfinite().all()


@ALGORITHMS
def test_a_segmenters_map_of_logits_is_pooled(kind):
    source = dict(source="decode_head.conv_seg", labels="decode_head.loss_decode")
    model = algorithm(kind, architecture=segmentor(), teacher=segmentor(8), distiller=distiller(**source))
    maps = {}
    for side in ("student", "teacher"):
        conv = getattr(model, side).decode_head.conv_seg
        conv.register_forward_hook(lambda module, args, output, side=side: maps.update({side: output}))
    data = model.data_preprocessor(segmentor_batch(), training=True)
    found = model(**data, mode="loss")["distill.loss_sdd"]
    labels = torch.cat([sample.gt_sem_seg.data for sample in data["data_samples"]])
    target, mask = region_labels(labels, num_classes=3)
    student, teacher = (pool_regions(maps[side]) for side in ("student", "teacher"))
    torch.testing.assert_close(found, sdd_loss(student, teacher, target, mask=mask))
    found.backward()
    assert model.student.decode_head.conv_seg.weight.grad.abs().sum() > 0


def test_an_error_reaches_the_user_with_its_reason():
    with pytest.raises(MMDistError, match=r"mmdist\.SDDHead = .*before pooling: source='backbone'"):
        losses(algorithm(distiller=distiller("neck")), batch())


def test_a_remembered_model_is_not_kept_alive():
    gc.collect()
    before = len(owners._OWNERS)
    model, recorder = MODELS.build(classifier()), ModuleRecorder("backbone")
    recorder.initialize(model)
    with recorder:
        model.backbone(torch.randn(2, 3, 16, 16))
    (record,) = recorder.get_record_data()
    assert owners.owner_of(record) is model
    assert len(owners._OWNERS) == before + 1
    gone = weakref.ref(model)
    del model, recorder
    gc.collect()
    assert gone() is None
    assert owners.owner_of(record) is None  # the model, not the tensor, is gone
    del record
    gc.collect()
    assert len(owners._OWNERS) == before


def test_an_iteration_leaves_no_tensor_remembered():
    gc.collect()
    before, model = len(owners._OWNERS), algorithm()
    for _ in range(4):
        sum(value for name, value in losses(model, batch()).items() if "loss" in name).backward()
    gc.collect()
    assert len(owners._OWNERS) == before


def test_a_tensor_of_two_models_belongs_to_the_last_and_a_record_to_its_first_tensor():
    first, second, both, own = nn.Linear(1, 1), nn.Linear(1, 1), torch.zeros(1), torch.zeros(1)
    owners.set_owner((own, both), first)
    owners.set_owner((torch.zeros(1), both), second)
    assert owners.owner_of(both) is second
    assert owners.owner_of((own, both)) is first
    assert owners.owner_of((torch.zeros(1), None)) is None


def test_a_head_that_cannot_be_applied_says_so_in_the_first_iteration():
    student = classifier()
    student["head"].update(type="mmpretrain.StackedLinearClsHead", mid_channels=[8], norm_cfg=dict(type="BN1d"))
    with pytest.raises(MMDistError, match="expected a head without batch norm"):
        losses(algorithm(architecture=student), batch())
