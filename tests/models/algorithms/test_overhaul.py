"""MMRazor's distiller of overhauled features is made ready by mmdist's algorithm as by its own."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest
import torch
from helpers.tiny_models import batch, classifier
from mmengine.config import Config
from mmengine.registry import MODELS

from mmdist.engine.preflight.model import check_model
from mmdist.errors import ConfigError

SOURCE = "backbone.layer4.1.bn2"


def overhauled(**changes: Any) -> dict[str, Any]:
    recorders = dict(norm=dict(type="mmrazor.ModuleOutputs", source=SOURCE))
    mapping = dict(
        s_feature=dict(recorder="norm", from_student=True, connector="widen"),
        t_feature=dict(recorder="norm", from_student=False, connector="margin"),
    )
    distiller = dict(
        type="mmrazor.OFDDistiller",
        student_recorders=recorders,
        teacher_recorders=deepcopy(recorders),
        distill_losses=dict(loss_ofd=dict(type="mmrazor.OFDLoss")),
        connectors=dict(
            widen=dict(type="mmrazor.ConvModuleConnector", in_channel=32, out_channel=64, act_cfg=None),
            margin=dict(type="mmrazor.OFDTeacherConnector"),
        ),
        loss_forward_mappings=dict(loss_ofd=mapping),
    )
    algorithm = dict(
        type="mmdist.SingleTeacherDistill",
        architecture=classifier(),
        teacher=classifier(8),
        random_teacher=True,
        distiller=distiller,
    )
    return algorithm | changes


def test_its_margins_are_those_of_mmrazors_own_algorithm() -> None:
    import mmdist.models  # noqa: F401

    ours = MODELS.build(overhauled())
    ours.init_weights()  # makes that norm's weights 0: margins are 0 then, where MMRazor divides by zero
    torch.testing.assert_close(ours.distiller.connectors["margin"].margin, torch.zeros(1, 64, 1, 1))
    with torch.no_grad():
        norm = ours.teacher.get_submodule(SOURCE)
        norm.weight.uniform_(0.5, 1.5)
        norm.bias.normal_()
    theirs_cfg = overhauled(type="mmrazor.OverhaulFeatureDistillation") | {"teacher": deepcopy(ours.teacher)}
    theirs_cfg.pop("random_teacher")
    theirs = MODELS.build(theirs_cfg)
    again = MODELS.build(overhauled() | {"teacher": deepcopy(ours.teacher)})
    expected = theirs.distiller.connectors["margin"].margin
    assert expected.shape == (1, 64, 1, 1)
    torch.testing.assert_close(again.distiller.connectors["margin"].margin, expected)
    data = again.data_preprocessor(batch(), training=True)
    loss = again(data["inputs"], data["data_samples"], mode="loss")["distill.loss_ofd"]
    assert torch.isfinite(loss)
    assert loss > 0


@pytest.mark.parametrize(
    ("key", "value", "place"),
    [
        ("type", "mmrazor.SingleTeacherDistill", r"model\.type"),
        ("distiller.type", "mmrazor.ConfigurableDistiller", r"model\.distiller\.connectors\.margin\.type"),
    ],
)
def test_who_leaves_the_margins_out_is_refused(key: str, value: str, place: str) -> None:
    cfg = Config(dict(default_scope="mmpretrain", model=overhauled()))
    check_model(cfg)
    cfg.merge_from_dict({f"model.{key}": value})
    if key == "type":
        del cfg.model.random_teacher
    with pytest.raises(ConfigError, match=place):
        check_model(cfg)


def test_a_record_that_is_no_batch_norm_is_refused() -> None:
    cfg = overhauled()
    cfg["distiller"]["teacher_recorders"]["norm"]["source"] = "backbone.layer4.1.conv2"
    with pytest.raises(ConfigError, match=r"loss_forward_mappings\.loss_ofd\.t_feature\.recorder"):
        MODELS.build(cfg)
