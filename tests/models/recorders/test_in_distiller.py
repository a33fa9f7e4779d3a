"""mmdist's recorders inside MMRazor's distiller, under mmdist's and MMRazor's algorithm, on models of the libraries."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import pytest
import torch
from mmengine.registry import MODELS
from mmrazor.models.task_modules import RecorderManager

from mmdist.errors import ConfigError, MMDistError


def segmentor(width: int = 4) -> dict:
    head = dict(type="mmseg.FCNHead", num_convs=1, channels=4, num_classes=3, dropout_ratio=0.0)
    return dict(
        type="mmseg.EncoderDecoder",
        data_preprocessor=dict(type="mmseg.SegDataPreProcessor", size=(32, 32)),
        backbone=dict(type="mmseg.ResNetV1c", depth=18, base_channels=width, stem_channels=width),
        decode_head=dict(**head, in_channels=8 * width, in_index=3),
        auxiliary_head=dict(**head, in_channels=4 * width, in_index=2),
    )


def detector() -> dict:
    return dict(
        type="mmdet.RetinaNet",
        backbone=dict(type="mmdet.ResNet", depth=18, base_channels=4, stem_channels=4),
        neck=dict(type="mmdet.FPN", in_channels=[4, 8, 16, 32], out_channels=8, num_outs=5),
        bbox_head=dict(
            type="mmdet.RetinaHead",
            num_classes=3,
            in_channels=8,
            stacked_convs=1,
            feat_channels=8,
            anchor_generator=dict(
                type="mmdet.AnchorGenerator",
                octave_base_scale=4,
                scales_per_octave=1,
                ratios=[1.0],
                strides=[4, 8, 16, 32, 64],
            ),
            bbox_coder=dict(type="mmdet.DeltaXYWHBBoxCoder"),
        ),
    )


def algorithm(kind: str, recorder: dict) -> Any:
    distiller = dict(
        type="mmrazor.ConfigurableDistiller",
        student_recorders=dict(logits=recorder),
        teacher_recorders=dict(logits=copy.deepcopy(recorder)),
        distill_losses=dict(loss_dist=dict(type="mmdist.DISTLoss")),
        loss_forward_mappings=dict(
            loss_dist=dict(
                logits_S=dict(recorder="logits", from_student=True),
                logits_T=dict(recorder="logits", from_student=False),
            )
        ),
    )
    model = dict(type=kind, architecture=segmentor(), teacher=segmentor(8), distiller=distiller)
    if kind.startswith("mmdist"):
        model["random_teacher"] = True
    return MODELS.build(model)


def batch() -> dict:
    from mmengine.structures import PixelData
    from mmseg.structures import SegDataSample

    samples = [SegDataSample(metainfo=dict(img_shape=(32, 32), ori_shape=(32, 32))) for _ in range(2)]
    for sample in samples:
        sample.gt_sem_seg = PixelData(data=torch.randint(0, 3, (1, 32, 32)))
    return dict(inputs=[torch.randint(0, 256, (3, 32, 32), dtype=torch.uint8) for _ in samples], data_samples=samples)


def loss_of(model: Any) -> torch.Tensor:
    model.eval()
    data = model.data_preprocessor(batch(), training=True)
    return model(**data, mode="loss")["distill.loss_dist"]


ALGORITHMS = pytest.mark.parametrize("kind", ["mmdist.SingleTeacherDistill", "mmrazor.SingleTeacherDistill"])


@ALGORITHMS
@pytest.mark.parametrize(
    "recorder",
    [
        dict(type="mmdist.Module", source="decode_head.conv_seg"),
        dict(type="mmdist.Method", source="decode_head.forward"),
        dict(type="mmdist.Method", source="decode_head.cls_seg"),
    ],
    ids=lambda recorder: recorder["source"],
)
def test_the_loss_is_that_of_mmrazors_recorder(kind: str, recorder: dict) -> None:
    torch.manual_seed(0)
    expected = loss_of(algorithm(kind, dict(type="mmrazor.ModuleOutputs", source="decode_head.conv_seg")))
    torch.manual_seed(0)
    model = algorithm(kind, recorder)
    loss = loss_of(model)
    assert expected > 0.01
    torch.testing.assert_close(loss, expected)
    loss.backward()
    assert model.architecture.decode_head.conv_seg.weight.grad.abs().sum() > 0


@ALGORITHMS
def test_an_algorithm_can_be_copied_and_pickled_after_an_iteration(kind: str) -> None:
    model = algorithm(kind, dict(type="mmdist.Method", source="decode_head.forward"))
    loss_of(model)
    own = len(model.distiller.student_recorders.get_recorder("logits").data_buffer)
    for other in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        other.architecture.decode_head.conv_seg.weight.data.zero_()  # a constant student
        other.architecture.decode_head.conv_seg.bias.data.zero_()
        assert loss_of(other) > 1.5  # nothing in common with the teacher
    assert len(model.distiller.student_recorders.get_recorder("logits").data_buffer) == own


@ALGORITHMS
def test_a_wrong_source_stops_the_building(kind: str) -> None:
    with pytest.raises(ConfigError, match=r"decode_head\.forwrd.*did you mean 'decode_head\.forward'"):
        algorithm(kind, dict(type="mmdist.Method", source="decode_head.forwrd"))


def test_a_module_whose_forward_is_called_directly_is_answered_with_the_method() -> None:
    with pytest.raises(MMDistError, match=r"decode_head.*did not fire.*mmdist\.Method"):
        loss_of(algorithm("mmrazor.SingleTeacherDistill", dict(type="mmdist.Module", source="decode_head")))


def test_methods_of_a_detector_are_recorded_a_level_at_a_time() -> None:
    model = MODELS.build(detector())
    manager = RecorderManager(
        dict(
            levels=dict(type="mmdist.Method", source="bbox_head.forward_single"),
            neck=dict(type="mmdist.Method", source="neck.forward"),
            classes=dict(type="mmdist.Module", source="bbox_head.retina_cls"),
        )
    )
    manager.initialize(model)
    with manager:
        scores, _ = model(torch.randn(1, 3, 64, 64), mode="tensor")
    levels, neck, classes = (manager.get_recorder(name) for name in ("levels", "neck", "classes"))
    for index in range(5):
        assert levels.get_record_data(index, 0) is scores[index]
        assert classes.get_record_data(index) is scores[index]
    assert [tuple(level.shape[2:]) for level in neck.get_record_data()] == [(16, 16), (8, 8), (4, 4), (2, 2), (1, 1)]


def test_the_inputs_of_a_loss_module_are_its_logits_and_labels() -> None:
    model = MODELS.build(segmentor())
    manager = RecorderManager(dict(loss=dict(type="mmdist.Module", source="decode_head.loss_decode", what="inputs")))
    manager.initialize(model)
    data = model.data_preprocessor(batch(), training=True)
    with manager:
        model(**data, mode="loss")
    record = manager.get_recorder("loss").get_record_data()
    assert record[0].shape == (2, 3, 32, 32)
    assert torch.equal(record[1], torch.cat([sample.gt_sem_seg.data for sample in data["data_samples"]]))
