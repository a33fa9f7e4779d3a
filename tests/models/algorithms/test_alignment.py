"""Connectors inside the algorithm: channels from the records, when the model is built."""

from __future__ import annotations

import pytest
import torch
from helpers.tiny_models import algorithm, batch, classifier, detector, detector_batch, distiller, feature_distiller
from mmengine.optim import build_optim_wrapper

from mmdist.errors import ConfigError
from mmdist.models.algorithms import probing


def test_channels_are_known_before_the_optimizer_is_built():
    model = algorithm(distiller=feature_distiller("backbone.layer2"))
    (conv,) = model.distiller.connectors["align"].convs
    assert (conv.in_channels, conv.out_channels) == (8, 16)
    wrapper = build_optim_wrapper(model, dict(optimizer=dict(type="SGD", lr=0.1)))
    held = {id(p) for group in wrapper.param_groups for p in group["params"]}
    assert {id(p) for p in conv.parameters()} <= held


def test_finding_them_changes_nothing_else():
    torch.manual_seed(0)
    expected = algorithm(distiller=feature_distiller("backbone.layer2", "mmdist.SpatialRelationLoss"))
    state = torch.get_rng_state()
    torch.manual_seed(0)
    model = algorithm()
    assert torch.equal(torch.get_rng_state(), state)
    for name, value in model.student.state_dict().items():
        assert torch.equal(value, expected.student.state_dict()[name]), name
    assert model.student.training


def test_maps_of_another_stride_are_resized_to_the_teachers():
    cfg = feature_distiller()
    cfg["student_recorders"]["logits"]["source"] = "backbone.layer3"
    cfg["teacher_recorders"]["logits"]["source"] = "backbone.layer2"
    model = algorithm(distiller=cfg)
    sizes = []
    model.distiller.connectors["align"].register_forward_hook(lambda module, args, output: sizes.append(output.shape))
    losses = model(**model.data_preprocessor(batch(), training=True), mode="loss")
    losses["distill.loss_dist"].backward()
    assert sizes == [(8, 16, 8, 8)]
    assert model.distiller.connectors["align"].convs[0].weight.grad.abs().sum() > 0


def test_every_level_of_a_pyramid_gets_its_own_convolution():
    wide = detector(8)
    wide["neck"]["out_channels"] = wide["rpn_head"]["in_channels"] = 24
    wide["roi_head"]["bbox_roi_extractor"]["out_channels"] = wide["roi_head"]["bbox_head"]["in_channels"] = 24
    model = algorithm(architecture=detector(), teacher=wide, distiller=feature_distiller())
    convs = model.distiller.connectors["align"].convs
    assert [(conv.in_channels, conv.out_channels) for conv in convs] == [(16, 24)] * 5
    losses = model(**model.data_preprocessor(detector_batch(), training=True), mode="loss")
    assert losses["distill.loss_dist"].isfinite()


def test_what_is_no_feature_map_is_refused():
    with pytest.raises(ConfigError, match="feature maps"):
        algorithm(distiller=feature_distiller("head.fc"))


def test_one_connector_for_two_places_of_other_channels_is_refused():
    cfg = feature_distiller("backbone.layer2")
    for side in ("student", "teacher"):
        cfg[f"{side}_recorders"]["more"] = dict(type="mmrazor.ModuleOutputs", source="backbone.layer3")
    cfg["distill_losses"]["loss_more"] = dict(type="mmdist.ChannelRelationLoss")
    cfg["loss_forward_mappings"]["loss_more"] = dict(
        preds_S=dict(recorder="more", from_student=True, connector="align"),
        preds_T=dict(recorder="more", from_student=False),
    )
    with pytest.raises(ConfigError, match="its other use"):
        algorithm(distiller=cfg)


def test_an_exported_student_has_no_connector():
    model = algorithm(distiller=feature_distiller("backbone.layer2"))
    plain = set(algorithm(architecture=classifier()).student.state_dict())
    assert set(model.student.state_dict()) == plain


def test_records_that_a_broken_probe_did_not_reach_are_not_called_missing(monkeypatch):
    cfg = distiller()
    for record in cfg["loss_forward_mappings"]["loss_dist"].values():
        record["record_idx"] = 1
    with pytest.raises(ConfigError, match="record_idx"):
        algorithm(distiller=cfg)
    whole = probing.probe

    def broken(model, recorders):
        whole(model, recorders)
        raise RuntimeError("a normalisation needs more than one position")

    monkeypatch.setattr(probing, "probe", broken)
    algorithm(distiller=cfg)
