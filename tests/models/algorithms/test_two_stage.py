"""Two-stage detectors: the teacher's box head looks at the student's regions."""

from __future__ import annotations

import copy

import pytest
import torch
from helpers.tiny_models import algorithm, detector, detector_batch, distiller, feature_distiller

from mmdist.errors import MMDistError


def two_stage(cascade: bool = False, **changes):
    cfg = distiller("roi_head.bbox_head.fc_cls")
    if cascade:
        cfg["teacher_recorders"]["logits"]["source"] = "roi_head.bbox_head.0.fc_cls"
    return algorithm(**{**dict(architecture=detector(), teacher=detector(8, cascade), distiller=cfg), **changes})


def losses(model, data):
    return model(**model.data_preprocessor(copy.deepcopy(data), training=True), mode="loss")


@pytest.mark.parametrize("cascade", [False, True])
def test_the_teachers_box_head_is_run_on_the_students_sampled_regions(cascade):
    model = two_stage(cascade)
    seen = {}
    for side in ("student", "teacher"):
        extractor = getattr(model, side).roi_head.bbox_roi_extractor
        extractor = extractor[0] if cascade and side == "teacher" else extractor
        extractor.register_forward_hook(lambda module, args, output, side=side: seen.update({side: args[1]}))
    found = losses(model, detector_batch())
    assert torch.equal(seen["student"], seen["teacher"])
    assert found["distill.loss_dist"] > 0


def test_a_teacher_with_the_students_weights_and_regions_has_nothing_to_teach():
    model = two_stage(teacher=detector())
    model.teacher.load_state_dict(model.student.state_dict())
    model.eval()  # norm layers as the teacher's
    assert losses(model, detector_batch())["distill.loss_dist"].item() == pytest.approx(0, abs=1e-5)


def test_the_teacher_runs_neither_its_proposals_nor_its_losses(monkeypatch):
    model = two_stage()
    for part in (model.teacher.rpn_head, model.teacher.roi_head):
        for name in ("loss", "predict"):
            monkeypatch.setattr(part, name, lambda *args, **kwargs: pytest.fail("the teacher went further"))
    assert losses(model, detector_batch())["distill.loss_dist"].isfinite()


def test_features_and_region_logits_can_be_distilled_together():
    cfg = distiller("roi_head.bbox_head.fc_cls")
    for side in ("student", "teacher"):
        cfg[f"{side}_recorders"]["neck"] = dict(type="mmrazor.ModuleOutputs", source="neck")
    cfg["distill_losses"]["loss_neck"] = dict(type="mmdist.ChannelRelationLoss")
    cfg["loss_forward_mappings"]["loss_neck"] = dict(
        preds_S=dict(recorder="neck", from_student=True), preds_T=dict(recorder="neck", from_student=False)
    )
    found = losses(two_stage(distiller=cfg), detector_batch())
    assert found["distill.loss_neck"] > 0
    assert found["distill.loss_dist"] > 0


@pytest.mark.parametrize("source", ["neck", "backbone.layer4"])
def test_a_teacher_of_which_only_features_are_recorded_proposes_no_region_from_the_first_iteration_on(
    source, monkeypatch
):
    model = two_stage(cascade=True, distiller=feature_distiller(source))
    for part in (model.teacher.rpn_head, model.teacher.roi_head):
        monkeypatch.setattr(part, "forward", lambda *args, **kwargs: pytest.fail("the teacher went further"))
    assert losses(model, detector_batch())["distill.loss_dist"] > 0


def test_a_student_without_known_regions_is_refused_with_an_explanation(monkeypatch):
    model = two_stage()
    monkeypatch.delattr(type(model.student.roi_head), "_bbox_forward")
    with pytest.raises(MMDistError, match="the regions of teacher and student are not the same"):
        losses(model, detector_batch())


def test_scores_of_the_proposals_and_of_the_regions_can_be_compared_together():
    def recorders():
        return dict(
            rpn=dict(type="mmrazor.ModuleOutputs", source="rpn_head.rpn_cls"),
            boxes=dict(type="mmrazor.ModuleOutputs", source="roi_head.bbox_head.fc_cls"),
        )

    def mapping(name):
        return {f"logits_{side}": dict(recorder=name, from_student=side == "S") for side in "ST"}

    cfg = dict(
        type="mmrazor.ConfigurableDistiller",
        student_recorders=recorders(),
        teacher_recorders=recorders(),
        distill_losses=dict(
            loss_rpn=dict(type="mmdist.DISTLoss", activation="sigmoid"), loss_boxes=dict(type="mmdist.DISTLoss")
        ),
        loss_forward_mappings=dict(loss_rpn=mapping("rpn"), loss_boxes=mapping("boxes")),
    )
    model = two_stage(distiller=cfg, random_teacher=True)
    for _ in range(3):
        found = model(**model.data_preprocessor(detector_batch(), training=True), mode="loss")
        assert found["distill.loss_rpn"] > 0 and found["distill.loss_boxes"] > 0


def teachers_scores(**changes):
    """Of the same models, images and regions."""
    torch.manual_seed(0)
    model = two_stage(random_teacher=True, **changes)
    found = []
    model.teacher.roi_head.bbox_head.fc_cls.register_forward_hook(lambda module, args, output: found.append(output))
    torch.manual_seed(1)
    losses(model, detector_batch())
    return found[-1]


@pytest.mark.parametrize("option", [dict(teacher_channels_last=True), dict(teacher_fuse_conv_bn=False)], ids=str)
def test_how_the_teacher_computes_does_not_change_its_class_scores(option):
    torch.testing.assert_close(teachers_scores(**option), teachers_scores(), rtol=1e-4, atol=1e-5)
