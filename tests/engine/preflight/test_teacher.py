"""A teacher without weights is found before anything is built; one that may have some is left to the constructor."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from helpers.tiny_models import classifier, detector, distiller, segmentor
from mmengine.config import Config
from mmengine.model import BaseModule
from mmengine.registry import MODELS, DefaultScope

from mmdist.engine.preflight.teacher import check_teacher_weights
from mmdist.errors import ConfigError

LIBRARIES = dict(mmpretrain=classifier, mmseg=segmentor, mmdet=detector)


def check(teacher: Any, scope: str = "mmpretrain", **changes: Any) -> None:
    model = dict(architecture=LIBRARIES[scope](), teacher=teacher, distiller=distiller())
    cfg = Config(dict(default_scope=scope, model={"type": "mmdist.SingleTeacherDistill", **model, **changes}))
    with DefaultScope.overwrite_default_scope(scope):
        check_teacher_weights(cfg)


def refused(teacher: Any, scope: str = "mmpretrain", **changes: Any) -> None:
    with pytest.raises(ConfigError) as caught:
        check(teacher, scope, **changes)
    assert (caught.value.key, caught.value.value) == ("model.teacher_ckpt", None)
    assert "--teacher-ckpt" in str(caught.value)


@pytest.mark.parametrize("scope", LIBRARIES)
@pytest.mark.parametrize("form", ["dict", "path"])
def test_a_teacher_without_weights_is_refused(scope: str, form: str, tmp_path: Path) -> None:
    model = LIBRARIES[scope](8)
    if form == "path":
        (tmp_path / "teacher.py").write_text(f"model = {model!r}\ndefault_scope = {scope!r}\n")
        model = str(tmp_path / "teacher.py")
    refused(model, scope)


def test_mmrazors_form_says_whether_it_loads_weights() -> None:
    path = "mmpretrain::mobilenet_v2/mobilenet-v2_8xb32_in1k.py"
    refused(dict(cfg_path=path, pretrained=False))
    refused(dict(cfg_path=path))
    check(dict(cfg_path=path, pretrained=True))


@pytest.mark.parametrize(
    "option", [dict(teacher_ckpt="a.pth"), dict(random_teacher=True), dict(teacher_trainable=True)]
)
def test_an_option_that_answers_the_question_is_enough(option: dict[str, Any]) -> None:
    check(classifier(8), **option)


@pytest.mark.parametrize(
    "changes",
    [
        dict(init_cfg=dict(type="Pretrained", checkpoint="a.pth")),
        dict(init_cfg=[dict(type="Kaiming", layer="Conv2d"), dict(type="Pretrained", checkpoint="a.pth")]),
        dict(pretrained="a.pth"),
        dict(backbone=dict(type="ResNet", depth=18, init_cfg=dict(type="Pretrained", checkpoint="a.pth"))),
        dict(backbone=dict(type="TIMMBackbone", model_name="resnet18", pretrained=True)),
        dict(backbone=dict(type="TIMMBackbone", model_name="resnet18", checkpoint_path="a.pth")),
    ],
)
def test_weights_of_any_part_are_left_to_the_constructor(changes: dict[str, Any]) -> None:
    check({**classifier(8), **changes})


def test_a_backbone_that_loads_weights_unless_told_otherwise_is_left_to_the_constructor() -> None:
    backbone = dict(type="TIMMBackbone", model_name="resnet18")
    check(dict(segmentor(8), backbone=backbone), "mmseg")
    refused(dict(segmentor(8), backbone=dict(backbone, pretrained=False)), "mmseg")


@MODELS.register_module(force=True)
class OfSomebodysOwn(BaseModule):
    """Which may load anything while it is built."""


def test_a_class_of_the_users_own_is_left_to_the_constructor() -> None:
    check(dict(classifier(8), backbone=dict(type="OfSomebodysOwn")))


def test_other_algorithms_answer_for_themselves() -> None:
    check(classifier(8), type="mmrazor.SingleTeacherDistill")
