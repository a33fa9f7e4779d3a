"""A teacher has weights for everything that is used of it, or there is an error that says what is missing."""

from __future__ import annotations

import copy
import logging
from pathlib import Path
from typing import Any

import mmengine.hub.hub
import pytest
import torch
from helpers.task_runs import FEATURES, LOGITS, build, distilled, plain_run, quickly, train
from helpers.tiny_models import classifier, detector, distiller, feature_distiller, segmentor
from helpers.tiny_run import ROOT
from mmengine.config import ConfigDict
from mmengine.logging import MMLogger
from mmengine.model import BaseModule
from mmengine.registry import MODELS
from mmengine.runner import load_checkpoint, save_checkpoint
from torch import Tensor, nn

from mmdist.errors import ConfigError
from mmdist.models.algorithms import SingleTeacherDistill

TEACHERS = dict(
    mmpretrain=lambda: classifier(8),
    mmseg=lambda: segmentor(8, auxiliary=True),
    mmdet=lambda: detector(8),
)
STUDENTS = dict(mmpretrain=classifier, mmseg=segmentor, mmdet=detector)
HEADS = dict(mmpretrain="head.fc", mmseg="decode_head.conv_seg", mmdet="roi_head.bbox_head.fc_cls")
OTHERS = dict(
    mmpretrain=["head"], mmseg=["decode_head", "auxiliary_head"], mmdet=["neck", "rpn_head", "roi_head"]
)  # parts with parameters, beside the backbone
LIBRARIES = pytest.mark.parametrize("library", TEACHERS)


def algorithm(library: str, source: str = "", **changes: Any) -> SingleTeacherDistill:
    """Without weights for the teacher, unless the changes bring them."""
    cfg = dict(
        type="mmdist.SingleTeacherDistill",
        architecture=STUDENTS[library](),
        teacher=TEACHERS[library](),
        distiller=feature_distiller(source) if source else distiller(HEADS[library]),
    )
    return MODELS.build(ConfigDict({**cfg, **changes}))


def refused(library: str, *named: str, unnamed: tuple[str, ...] = (), **changes: Any) -> None:
    """The teacher is an error that names these parts and not those."""
    with pytest.raises(ConfigError) as caught:
        algorithm(library, **changes)
    assert (caught.value.key, caught.value.value) == ("model.teacher_ckpt", None)
    message = str(caught.value)
    assert "--teacher-ckpt" in message and "random_teacher=True" in message
    assert all(name in message for name in named), message
    assert not any(name in message for name in unnamed), message


@pytest.fixture(params=TEACHERS)
def trained(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, str, dict[str, Tensor]]:
    """A library, and the checkpoint of a teacher of it, as a file and as weights."""
    with torch.random.fork_rng():
        torch.manual_seed(5)
        model = MODELS.build(TEACHERS[request.param]())
        state = {name: torch.rand_like(value.float()).to(value.dtype) for name, value in model.state_dict().items()}
    save_checkpoint(dict(state_dict=state), str(tmp_path / "teacher.pth"))
    return request.param, str(tmp_path / "teacher.pth"), state


def part_of(state: dict[str, Tensor], name: str) -> dict[str, Tensor]:
    prefix = f"{name}."
    return {key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)}


def pretrained(path: str, **more: Any) -> dict[str, Any]:
    return dict(type="Pretrained", checkpoint=path, **more)


def assert_loaded(module: nn.Module, state: dict[str, Tensor]) -> None:
    own = module.state_dict()
    assert own.keys() == state.keys() and all(torch.equal(own[name], value) for name, value in state.items())


@LIBRARIES
def test_a_teacher_without_weights_is_an_error(library: str) -> None:
    refused(library)
    refused(library, source="backbone")


@LIBRARIES
def test_a_config_path_without_weights_is_an_error(library: str, tmp_path: Path) -> None:
    (tmp_path / "teacher.py").write_text(f"model = {TEACHERS[library]()!r}")
    refused(library, teacher=str(tmp_path / "teacher.py"))


@LIBRARIES
def test_a_teacher_that_is_meant_to_be_random_is_taken(library: str) -> None:
    assert algorithm(library, random_teacher=True).teacher is not None


@LIBRARIES
def test_a_teacher_that_trains_needs_no_weights(library: str) -> None:
    assert "teacher" in algorithm(library, teacher_trainable=True)._modules


@LIBRARIES
def test_a_built_teacher_brings_its_weights(library: str) -> None:
    teacher = MODELS.build(TEACHERS[library]())
    model = algorithm(library, teacher=teacher)
    before = copy.deepcopy(teacher.state_dict())
    model.init_weights()
    assert_loaded(model.teacher, before)


def test_a_checkpoint_is_weights(trained: tuple[str, str, dict[str, Tensor]]) -> None:
    library, path, state = trained
    model = algorithm(library, teacher_ckpt=path)
    model.init_weights()
    assert_loaded(model.teacher, state)


@pytest.mark.parametrize("listed", [False, True])
def test_an_initialisation_of_the_whole_teacher_is_weights(
    trained: tuple[str, str, dict[str, Tensor]], listed: bool
) -> None:
    library, path, state = trained
    init_cfg = [dict(type="Constant", layer="Conv2d", val=0.5), pretrained(path)] if listed else pretrained(path)
    model = algorithm(library, teacher=dict(TEACHERS[library](), init_cfg=init_cfg))
    model.init_weights()
    assert_loaded(model.teacher, state)


def test_weights_of_the_backbone_alone_are_an_error_that_names_the_other_parts(
    trained: tuple[str, str, dict[str, Tensor]],
) -> None:
    library, path, _ = trained
    teacher = TEACHERS[library]()
    teacher["backbone"]["init_cfg"] = pretrained(path, prefix="backbone.")
    refused(library, *OTHERS[library], unnamed=("backbone", "data_preprocessor"), teacher=teacher)


def test_weights_of_the_backbone_are_enough_for_its_records(trained: tuple[str, str, dict[str, Tensor]]) -> None:
    library, path, state = trained
    teacher = TEACHERS[library]()
    teacher["backbone"]["init_cfg"] = pretrained(path, prefix="backbone.")
    for source in ("backbone", "backbone.layer4"):
        model = algorithm(library, source=source, teacher=copy.deepcopy(teacher))
        model.init_weights()
        assert_loaded(model.teacher.backbone, part_of(state, "backbone"))


def test_one_record_of_a_part_without_weights_is_too_many(trained: tuple[str, str, dict[str, Tensor]]) -> None:
    library, path, _ = trained
    teacher = TEACHERS[library]()
    teacher["backbone"]["init_cfg"] = pretrained(path, prefix="backbone.")
    both = feature_distiller("backbone")
    for side in ("student", "teacher"):
        both[f"{side}_recorders"]["more"] = dict(type="mmrazor.ModuleOutputs", source=HEADS[library])
    refused(library, *OTHERS[library], teacher=teacher, distiller=both)


def test_weights_of_every_part_are_weights_of_the_whole(trained: tuple[str, str, dict[str, Tensor]]) -> None:
    library, path, state = trained
    teacher = TEACHERS[library]()
    for name in ("backbone", *OTHERS[library]):
        teacher[name]["init_cfg"] = pretrained(path, prefix=f"{name}.")
    model = algorithm(library, teacher=teacher)
    model.init_weights()
    assert_loaded(model.teacher, state)


def test_a_head_with_weights_hears_a_backbone_without(trained: tuple[str, str, dict[str, Tensor]]) -> None:
    library, path, _ = trained
    teacher = TEACHERS[library]()
    for name in OTHERS[library]:
        teacher[name]["init_cfg"] = pretrained(path, prefix=f"{name}.")
    refused(library, "backbone", unnamed=tuple(OTHERS[library]), teacher=teacher)


def test_a_part_of_a_part_can_be_what_is_missing(trained: tuple[str, str, dict[str, Tensor]]) -> None:
    library, path, _ = trained
    if library != "mmdet":
        pytest.skip("the detector's RoI head has parts of its own")
    teacher = TEACHERS[library]()
    for name in ("backbone", "neck", "rpn_head"):
        teacher[name]["init_cfg"] = pretrained(path, prefix=f"{name}.")
    teacher["roi_head"]["mask_roi_extractor"] = copy.deepcopy(teacher["roi_head"]["bbox_roi_extractor"])
    teacher["roi_head"]["mask_head"] = dict(type="FCNMaskHead", num_convs=1, in_channels=16, conv_out_channels=4)
    teacher["roi_head"]["bbox_head"]["init_cfg"] = pretrained(path, prefix="roi_head.bbox_head.")
    refused(library, "roi_head.mask_head", unnamed=("roi_head.bbox_head", "neck"), teacher=teacher)


def test_weights_up_to_the_neck_are_enough_for_its_records(tmp_path: Path) -> None:
    teacher = detector(8)
    teacher["backbone"]["init_cfg"] = pretrained(str(tmp_path / "backbone.pth"))
    refused("mmdet", "neck", unnamed=("backbone",), source="neck", teacher=copy.deepcopy(teacher))
    teacher["neck"]["init_cfg"] = pretrained(str(tmp_path / "neck.pth"))
    assert algorithm("mmdet", source="neck", teacher=copy.deepcopy(teacher)).teacher is not None
    refused("mmdet", "rpn_head", source="rpn_head", unnamed=("neck",), teacher=teacher)


def test_a_neck_without_parameters_needs_no_weights(tmp_path: Path) -> None:
    teacher = classifier(8)
    teacher["backbone"]["init_cfg"] = pretrained(str(tmp_path / "backbone.pth"))
    assert algorithm("mmpretrain", distiller=distiller("neck"), teacher=teacher).teacher is not None


def test_pretrained_beside_the_backbone_is_of_the_backbone_in_mmseg(tmp_path: Path) -> None:
    state = part_of(MODELS.build(segmentor(8)).state_dict(), "backbone")
    torch.save(dict(state_dict=state), tmp_path / "backbone.pth")
    teacher = dict(segmentor(8, auxiliary=True), pretrained=str(tmp_path / "backbone.pth"))
    refused("mmseg", *OTHERS["mmseg"], unnamed=("backbone",), teacher=teacher)
    model = algorithm("mmseg", source="backbone", teacher=teacher)
    model.init_weights()
    assert_loaded(model.teacher.backbone, state)


def test_pretrained_of_a_classifier_is_of_the_whole_in_mmpretrain(tmp_path: Path) -> None:
    state = MODELS.build(classifier(8)).state_dict()
    torch.save(dict(state_dict=state), tmp_path / "whole.pth")
    model = algorithm("mmpretrain", teacher=dict(classifier(8), pretrained=str(tmp_path / "whole.pth")))
    model.init_weights()
    assert_loaded(model.teacher, state)


def test_pretrained_of_a_backbone_in_mmdet(tmp_path: Path) -> None:
    teacher = detector(8)
    teacher["backbone"]["pretrained"] = str(tmp_path / "backbone.pth")
    refused("mmdet", *OTHERS["mmdet"], unnamed=("backbone",), teacher=teacher)


@pytest.mark.parametrize("whole", [False, True])
def test_mmrazors_form_loads_the_checkpoint_of_the_library(
    whole: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    teacher = dict(cfg_path="mmpretrain::mobilenet_v2/mobilenet-v2_8xb32_in1k.py", pretrained=whole)
    if not whole:
        refused("mmpretrain", "ImageClassifier", teacher=teacher)
        return
    path = str(tmp_path / "mobilenet.pth")
    torch.save(dict(state_dict=mmengine.hub.get_model(teacher["cfg_path"]).state_dict()), path)
    monkeypatch.setattr(mmengine.hub.hub, "load_checkpoint", lambda model, url: load_checkpoint(model, path))
    model = algorithm("mmpretrain", teacher=teacher)
    model.init_weights()
    assert_loaded(model.teacher, torch.load(path)["state_dict"])


def test_weights_of_the_backbone_do_not_tell_how_to_weigh_the_task_loss(tmp_path: Path) -> None:
    teacher = segmentor(8)
    teacher["backbone"]["init_cfg"] = pretrained(str(tmp_path / "backbone.pth"))
    weighting = dict(type="mmdist.RDDWeighting", warmup=2)
    refused("mmseg", "decode_head", source="backbone", teacher=teacher, weighting=weighting)


def test_weights_of_the_backbone_are_not_enough_for_what_is_delivered(tmp_path: Path) -> None:
    teacher = segmentor(8)
    teacher["backbone"]["init_cfg"] = pretrained(str(tmp_path / "backbone.pth"))
    delivers = dict(
        feature_distiller("backbone"),
        distill_deliveries=dict(
            given=dict(type="MethodOutputs", max_keep_data=1, method_path="mmseg.models.FCNHead.cls_seg")
        ),
    )
    refused("mmseg", "decode_head", teacher=teacher, distiller=delivers)


@MODELS.register_module(force=True)
class LoadsItself(BaseModule):
    """A backbone of somebody's own, whose weights come while it is built."""

    def __init__(self, pretrained: bool = False) -> None:
        super().__init__(init_cfg=dict(type="Constant", layer="Conv2d", val=0.0))
        self.conv = nn.Conv2d(3, 4, 3)
        if pretrained:
            nn.init.constant_(self.conv.weight, 7.0)

    def forward(self, x: Tensor) -> tuple[Tensor]:
        return (self.conv(x),)


def test_what_a_constructor_has_loaded_is_weights_and_stays() -> None:
    teacher = classifier(8)
    teacher["backbone"] = dict(type="LoadsItself", pretrained=True)
    teacher["head"]["in_channels"] = 4
    refused("mmpretrain", "head", unnamed=("backbone",), teacher=teacher)
    model = algorithm("mmpretrain", source="backbone", teacher=teacher)
    model.init_weights()
    assert torch.equal(model.teacher.backbone.conv.weight, torch.full((4, 3, 3, 3), 7.0))
    teacher["backbone"]["pretrained"] = False
    refused("mmpretrain", source="backbone", teacher=teacher)


@pytest.mark.parametrize("scope", ["mmseg", "mmdet", "mmpretrain"])
def test_a_runner_of_a_task_library_ends_before_it_trains(scope: str, tmp_path: Path) -> None:
    cfg = distilled(plain_run(scope, tmp_path))
    cfg.model.random_teacher = False
    with quickly(scope), pytest.raises(ConfigError, match=r"model\.teacher_ckpt = None: .*--teacher-ckpt"):
        build(cfg)


def test_a_random_teacher_is_said_once_in_the_log(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    cfg = distilled(plain_run("mmpretrain", tmp_path, iters=2), weight=1.0)
    with quickly("mmpretrain"):
        runner = build(cfg)
        MMLogger.get_current_instance().addHandler(caplog.handler)
        runner.train()
    said = [record for record in caplog.records if "model.random_teacher" in record.getMessage()]
    assert len(said) == 1 and said[0].levelno == logging.WARNING and "head" in said[0].getMessage()


def test_a_teacher_of_a_backbone_alone_is_not_validated(tmp_path: Path) -> None:
    cfg = plain_run("mmseg", tmp_path, iters=1, val_interval=1)
    backbone = MODELS.build(dict(cfg.model.backbone, _scope_="mmseg"))
    torch.save(dict(state_dict=backbone.state_dict()), tmp_path / "backbone.pth")
    cfg = distilled(cfg, features=True, weight=1.0)
    cfg.model.random_teacher = False
    cfg.model.teacher.backbone.init_cfg = pretrained(str(tmp_path / "backbone.pth"))
    assert FEATURES["mmseg"].startswith("backbone") and not LOGITS["mmseg"].startswith("backbone")
    train(cfg)
    cfg.val_cfg = dict(type="mmdist.DistillValLoop", teacher=True)
    with pytest.raises(ConfigError, match="decode_head"):
        train(cfg)


def test_no_config_of_this_repository_asks_for_a_random_teacher() -> None:
    configs = list((ROOT / "configs").rglob("*.py"))
    assert len(configs) > 100 and not [path for path in configs if "random_teacher" in path.read_text()]


def test_a_distiller_without_recorders_may_use_anything(tmp_path: Path) -> None:
    teacher = classifier(8)
    teacher["backbone"]["init_cfg"] = pretrained(str(tmp_path / "backbone.pth"))
    refused("mmpretrain", "head", teacher=teacher, distiller=dict(type="mmrazor.ConfigurableDistiller"))
