"""`ResizeConnector`: the size of the other side's record, in every batch."""

from __future__ import annotations

import copy
import math
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from helpers.task_runs import differing, distilled, plain_run, student_state, train
from helpers.tiny_models import algorithm, distiller, segmentor, segmentor_batch
from mmengine.config import Config
from mmengine.registry import MODELS
from mmengine.structures import PixelData
from references.dist import dist
from torch import Tensor

from mmdist.engine.preflight.model import check_model
from mmdist.errors import ConfigError, MMDistError
from mmdist.models.algorithms import SingleTeacherDistill
from mmdist.models.connectors import AlignConnector, ResizeConnector

RESIZE = dict(type="mmdist.ResizeConnector")
SOURCE = "decode_head.conv_seg"


def coarse(width: int = 4, auxiliary: bool = False) -> dict[str, Any]:
    """Scores at an eighth of the image, rounded up, whatever its size."""
    model = segmentor(width, auxiliary)
    model["data_preprocessor"].update(size=None, size_divisor=1)
    model["backbone"].update(strides=(1, 2, 1, 1), dilations=(1, 1, 2, 4))
    return model


def fine(width: int = 4, auxiliary: bool = False) -> dict[str, Any]:
    """Scores at a quarter of the image, rounded up."""
    model = coarse(width, auxiliary)
    model["backbone"].update(strides=(1, 1, 1, 1), dilations=(1, 1, 2, 4))
    return model


def resizing(side: str, **changes: Any) -> dict[str, Any]:
    cfg = distiller(SOURCE)
    for recorders in ("student_recorders", "teacher_recorders"):
        cfg[recorders]["logits"]["type"] = "mmdist.Module"
    cfg["connectors"] = dict(resize=dict(RESIZE, **changes))
    cfg["loss_forward_mappings"]["loss_dist"][f"logits_{side}"]["connector"] = "resize"
    return cfg


def images(height: int, width: int) -> dict[str, Any]:
    data = segmentor_batch()
    data["inputs"] = [torch.randint(0, 256, (3, height, width), dtype=torch.uint8) for _ in data["inputs"]]
    for sample in data["data_samples"]:
        sample.set_metainfo(dict(img_shape=(height, width), ori_shape=(height, width), pad_shape=(height, width)))
        sample.gt_sem_seg = PixelData(data=torch.randint(0, 3, (1, height, width)))
    return data


def listen(model: SingleTeacherDistill) -> dict[str, Tensor]:
    """What the two heads say in the last pass."""
    heard: dict[str, Tensor] = {}
    for name, side in (("S", model.student), ("T", model.teacher)):
        side.decode_head.conv_seg.register_forward_hook(
            lambda module, args, output, name=name: heard.update({name: output.detach().double()})
        )
    return heard


def rows(logits: Tensor) -> list[list[float]]:
    return logits.movedim(1, -1).flatten(0, -2).tolist()


@pytest.mark.parametrize("side", ["S", "T"])
@pytest.mark.parametrize("align_corners", [False, True])
def test_sizes_that_change_from_batch_to_batch_are_followed_on_either_side(side: str, align_corners: bool) -> None:
    sides = (coarse(), fine(8)) if side == "S" else (fine(), coarse(8))
    cfg = resizing(side, align_corners=align_corners)
    model = algorithm(architecture=sides[0], teacher=sides[1], distiller=cfg)
    heard = listen(model)
    for size in ((49, 33), (33, 49), (48, 48), (97, 17)):
        data = model.data_preprocessor(images(*size), training=True)
        loss = model(**data, mode="loss")["distill.loss_dist"]
        small, large = heard[side], heard["T" if side == "S" else "S"]
        assert small.shape[2:] == tuple(math.ceil(n / 8) for n in size)
        assert large.shape[2:] == tuple(math.ceil(n / 4) for n in size)
        heard[side] = F.interpolate(small, large.shape[2:], mode="bilinear", align_corners=align_corners)
        expected = dist(rows(heard["S"]), rows(heard["T"]))
        assert float(loss) == pytest.approx(expected, rel=1e-4), size


def test_the_students_gradient_goes_through_and_the_teachers_record_has_none() -> None:
    model = algorithm(architecture=coarse(), teacher=fine(8), distiller=resizing("S"))
    model(**model.data_preprocessor(images(49, 33), training=True), mode="loss")["distill.loss_dist"].backward()
    assert model.student.decode_head.conv_seg.weight.grad.abs().sum() > 0
    seen: list[Tensor] = []
    other = algorithm(architecture=fine(), teacher=coarse(8), distiller=resizing("T"))
    other.distiller.connectors["resize"].register_forward_hook(lambda module, args, output: seen.append(output))
    other(**other.data_preprocessor(images(49, 33), training=True), mode="loss")["distill.loss_dist"].backward()
    assert seen[0].shape[2:] == (13, 9) and not seen[0].requires_grad
    assert not any(parameter.requires_grad for parameter in other.teacher.parameters())


def test_one_connector_serves_losses_whose_maps_are_of_different_sizes() -> None:
    """The student's first stage and its head, against the teacher's head and its first stage, in one order and back."""
    student, teacher = coarse(4, True), fine(8, True)
    teacher["backbone"]["strides"] = (1, 2, 1, 1)
    for model, width in ((student, 4), (teacher, 8)):
        model["auxiliary_head"].update(in_index=0, in_channels=width)
    cfg = resizing("S")
    for side in ("student", "teacher"):
        cfg[f"{side}_recorders"]["first"] = dict(type="mmdist.Module", source="auxiliary_head.conv_seg")
    pairs = dict(loss_a=("first", "logits"), loss_b=("logits", "first"), loss_c=("first", "first"))
    for name, (mine, theirs) in pairs.items():
        cfg["distill_losses"][name] = dict(type="mmdist.KDLoss")
        cfg["loss_forward_mappings"][name] = dict(
            preds_S=dict(recorder=mine, from_student=True, connector="resize"),
            preds_T=dict(recorder=theirs, from_student=False),
        )
    model = algorithm(architecture=student, teacher=teacher, distiller=cfg)
    sizes: list[tuple[int, ...]] = []
    resize = model.distiller.connectors["resize"]
    resize.register_forward_hook(lambda module, args, output: sizes.append(tuple(output.shape[2:])))
    for _ in range(2):
        losses = model(**model.data_preprocessor(images(49, 33), training=True), mode="loss")
        assert all(losses[f"distill.{name}"].isfinite() for name in ("loss_dist", *pairs))
    assert sizes == [(7, 5), (7, 5), (13, 9), (13, 9)] * 2


def test_several_sizes_are_used_up_in_order_and_the_last_one_stays() -> None:
    connector = ResizeConnector()
    for size in ((3, 4), (5, 6)):
        connector.match(torch.zeros(1, 1, *size))
    found = [tuple(connector(torch.zeros(1, 1, 2, 2)).shape[2:]) for _ in range(3)]
    connector.match(torch.zeros(1, 1, 7, 8))
    assert [*found, tuple(connector(torch.zeros(1, 1, 2, 2)).shape[2:])] == [(3, 4), (5, 6), (5, 6), (7, 8)]


def test_an_align_connector_serves_losses_of_different_sizes_too() -> None:
    connector = AlignConnector(2, 3)
    for size in ((3, 4), (5, 6)):
        connector.match(torch.zeros(1, 3, *size))
    assert [tuple(connector(torch.zeros(1, 2, 2, 2)).shape) for _ in range(2)] == [(1, 3, 3, 4), (1, 3, 5, 6)]


def test_levels_are_resized_one_by_one() -> None:
    connector = ResizeConnector()
    connector.match((torch.zeros(1, 2, 9, 7), torch.zeros(1, 2, 5, 4)))
    levels = torch.randn(1, 2, 4, 4), torch.randn(1, 2, 5, 4)
    found = connector(levels)
    assert isinstance(found, tuple) and found[1] is levels[1]
    torch.testing.assert_close(found[0], F.interpolate(levels[0], (9, 7), mode="bilinear"))
    with pytest.raises(ConfigError, match="2 levels"):
        connector(levels[:1])


def test_labels_are_not_taken_for_the_other_side() -> None:
    cfg = resizing("T")
    cfg["student_recorders"]["labels"] = dict(type="mmdist.Module", source="decode_head.loss_decode", what="inputs")
    cfg["distill_losses"] = dict(loss_kd=dict(type="mmdist.KDLoss"))
    cfg["loss_forward_mappings"] = dict(
        loss_kd=dict(
            gt_labels=dict(recorder="labels", from_student=True, data_idx=1),
            preds_T=dict(recorder="logits", from_student=False, connector="resize"),
            preds_S=dict(recorder="logits", from_student=True),
        )
    )
    model = algorithm(architecture=fine(), teacher=coarse(8), distiller=cfg)
    losses = model(**model.data_preprocessor(images(49, 33), training=True), mode="loss")
    assert losses["distill.loss_kd"].isfinite()


def test_it_works_behind_another_connector_of_a_list() -> None:
    cfg = resizing("S")
    convolution = dict(type="mmrazor.ConvModuleConnector", in_channel=3, out_channel=3, norm_cfg=None, act_cfg=None)
    cfg["connectors"]["resize"] = [convolution, RESIZE]
    model = algorithm(architecture=coarse(), teacher=fine(8), distiller=cfg)
    for size in ((49, 33), (33, 49)):
        losses = model(**model.data_preprocessor(images(*size), training=True), mode="loss")
        assert losses["distill.loss_dist"].isfinite()


def test_connectors_on_both_sides_are_refused_when_the_model_is_built() -> None:
    cfg = resizing("S")
    cfg["loss_forward_mappings"]["loss_dist"]["logits_T"]["connector"] = "resize"
    with pytest.raises(ConfigError, match=r"model.distiller.connectors.resize.*one side alone"):
        algorithm(architecture=coarse(), teacher=fine(8), distiller=cfg)
    cfg["connectors"]["align"] = dict(type="mmdist.AlignConnector", in_channels=3, out_channels=3)
    cfg["loss_forward_mappings"]["loss_dist"]["logits_T"]["connector"] = "align"
    with pytest.raises(ConfigError, match=r"model.distiller.connectors.resize.*one side alone"):
        algorithm(architecture=coarse(), teacher=fine(8), distiller=cfg)


def test_without_it_maps_of_different_sizes_are_answered_with_its_name() -> None:
    model = algorithm(architecture=coarse(), teacher=fine(8), distiller=distiller(SOURCE))
    with pytest.raises(MMDistError, match=r"mmdist\.ResizeConnector"):
        model(**model.data_preprocessor(images(49, 33), training=True), mode="loss")


@pytest.mark.parametrize("connector", [RESIZE, dict(type="mmdist.AlignConnector")], ids=["resize", "align"])
def test_mmrazors_own_algorithm_is_refused_before_the_run_unless_the_connector_needs_nothing(
    connector: dict[str, Any],
) -> None:
    cfg = resizing("S")
    cfg["connectors"]["resize"] = dict(connector)
    model = dict(type="mmrazor.SingleTeacherDistill", architecture=coarse(), teacher=fine(8), distiller=cfg)
    with pytest.raises(ConfigError, match=r"connectors.resize.(size|in_channels) = None.*mmdist.SingleTeacherDistill"):
        check_model(Config(dict(model=model)))
    check_model(Config(dict(model=dict(model, type="mmdist.SingleTeacherDistill"))))


def test_it_runs_in_mmrazors_own_algorithm_with_a_size() -> None:
    cfg = resizing("S", size=(13, 9))
    model = dict(type="mmrazor.SingleTeacherDistill", architecture=coarse(), teacher=fine(8), distiller=cfg)
    check_model(Config(dict(model=copy.deepcopy(model))))
    built = MODELS.build(model)
    losses = built(**built.data_preprocessor(images(49, 33), training=True), mode="loss")
    assert losses["distill.loss_dist"].isfinite()
    built.distiller.connectors["resize"].size = None
    with pytest.raises(ConfigError, match=r"ResizeConnector\.size = None"):
        built(**built.data_preprocessor(images(49, 33), training=True), mode="loss")


@pytest.mark.parametrize(
    ("arguments", "key"),
    [
        (dict(size=0), "size = 0"),
        (dict(size=(3,)), r"size = \(3,\)"),
        (dict(size=(3, 4.5)), "size"),
        (dict(size=True), "size = True"),
        (dict(align_corners="no"), "align_corners = 'no'"),
    ],
)
def test_arguments_that_cannot_be_are_refused(arguments: dict[str, Any], key: str) -> None:
    with pytest.raises(ConfigError, match=f"ResizeConnector.{key}"):
        ResizeConnector(**arguments)


def test_what_is_no_map_is_refused() -> None:
    connector = ResizeConnector(4)
    for record in (torch.zeros(2, 3), [torch.zeros(2, 3, 4, 4), None], dict()):
        with pytest.raises(ConfigError, match=r"maps \(N, C, H, W\)"):
            connector(record)


def test_at_weight_zero_it_changes_nothing_of_the_training(tmp_path: Path) -> None:
    cfg = plain_run("mmseg", tmp_path, iters=4)
    cfg.model.data_preprocessor.update(size=None, size_divisor=1)
    cfg.model.backbone.update(strides=(1, 2, 1, 1), dilations=(1, 1, 2, 4))
    for step in cfg.train_dataloader.dataset.pipeline:
        if step["type"] == "RandomCrop":
            step["crop_size"] = (49, 41)
    plain = student_state(train(cfg))
    with_teacher = distilled(cfg)
    with_teacher.model.distiller = Config(resizing("S")).to_dict()
    with_teacher.model.distiller["distill_losses"]["loss_dist"]["loss_weight"] = 0.0
    with_teacher.model.teacher.backbone.strides = (1, 1, 1, 1)
    assert not differing(student_state(train(with_teacher)), plain)
