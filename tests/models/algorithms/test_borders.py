"""The teacher sees a batch as its own data preprocessor would have made it, the border of small images too."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from helpers.logs import warnings_logged
from helpers.tiny_models import algorithm, detector, feature_distiller
from mmdet.structures import DetDataSample
from mmengine.logging import MessageHub
from mmengine.registry import MODELS
from mmengine.structures import InstanceData, PixelData
from mmpretrain.structures import DataSample
from mmseg.structures import SegDataSample
from torch import Tensor

from mmdist.models.algorithms.normalisation import translation, warn_of_divisors

CAFFE = dict(mean=[103.5, 116.3, 123.7], std=[1.0, 1.0, 1.0], bgr_to_rgb=False)
RGB = dict(mean=[123.7, 116.3, 103.5], std=[58.4, 57.1, 57.4], bgr_to_rgb=True)
RAW: dict[str, Any] = {}
SIZES = ((40, 61), (64, 33), (64, 64))
LIBRARIES = {"mmdet": "DetDataPreprocessor", "mmseg": "SegDataPreProcessor", "mmpretrain": "ClsDataPreprocessor"}
PAD = {"mmdet": "pad_value", "mmseg": "pad_val", "mmpretrain": "pad_value"}


def preprocessor(library: str, pad: float, **changes: Any) -> Any:
    cfg = dict(type=f"{library}.{LIBRARIES[library]}", **{PAD[library]: pad}, **changes)
    if library == "mmseg":
        cfg["size"] = (96, 96)
    else:
        cfg["pad_size_divisor"] = 32
    if library == "mmpretrain" and "bgr_to_rgb" in cfg:
        cfg["to_rgb"] = cfg.pop("bgr_to_rgb")
    return MODELS.build(cfg)


def images(library: str) -> dict[str, Any]:
    torch.manual_seed(0)
    samples = []
    for number, size in enumerate(SIZES):
        meta = dict(img_shape=size, ori_shape=size, scale_factor=(1.0, 1.0))
        if library == "mmdet":
            sample = DetDataSample(metainfo=meta)
            sample.gt_instances = InstanceData(bboxes=torch.tensor([[2.0, 2.0, 30.0, 30.0]]), labels=torch.tensor([1]))
        elif library == "mmseg":
            sample = SegDataSample(metainfo=dict(meta, img_shape=(1, 1)))  # its data preprocessor knows better
            sample.gt_sem_seg = PixelData(data=torch.zeros(1, *size, dtype=torch.long))
        else:
            sample = DataSample(metainfo=meta).set_gt_label(number)
        samples.append(sample)
    pixels = [torch.randint(0, 256, (3, *size), dtype=torch.uint8) for size in SIZES]
    pixels[0][:, :, -5:] = 0  # black pixels at the very border are pixels
    return dict(inputs=pixels, data_samples=samples)


def prepared(preprocessor: Any, data: dict[str, Any]) -> tuple[Tensor, list]:
    found = preprocessor(copy.deepcopy(data), training=True)
    return found["inputs"], found["data_samples"]


@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize(
    ("student", "teacher"),
    [((RAW, 0), (CAFFE, 0)), ((RAW, 114), (RGB, 0)), ((RGB, 0), (CAFFE, 0)), ((CAFFE, 0), (RAW, 114))],
    ids=["raw-caffe", "yolox-rgb", "rgb-caffe", "caffe-yolox"],
)
def test_every_value_is_that_of_the_teachers_own_data_preprocessor(library, student, teacher):
    if library == "mmpretrain" and RAW in (student[0], teacher[0]):
        one = dict(mean=[0.0], std=[1.0], bgr_to_rgb=False)  # without them it would be one that says nothing
        student, teacher = ((one if part == RAW else part, pad) for part, pad in (student, teacher))
    sides = [preprocessor(library, pad, **part) for part, pad in (student, teacher)]
    data = images(library)
    inputs, samples = prepared(sides[0], data)
    expected, _ = prepared(sides[1], data)
    assert bool((expected != expected[0, 0, 0, 0]).any())
    torch.testing.assert_close(translation(*sides)(inputs, samples), expected, rtol=1e-5, atol=1e-3)


def test_equal_pixels_with_another_border_are_another_batch():
    sides = preprocessor("mmdet", 0, **RGB), preprocessor("mmdet", 1.5, **RGB)
    data = images("mmdet")
    inputs, samples = prepared(sides[0], data)
    translated = translation(*sides)(inputs, samples)
    assert torch.equal(translated, prepared(sides[1], data)[0])
    assert translation(sides[0], copy.deepcopy(sides[0])) is None


def test_images_that_fill_the_batch_are_translated_as_ever():
    sides = preprocessor("mmdet", 0), preprocessor("mmdet", 0, **CAFFE)
    data = images("mmdet")
    data["inputs"] = [torch.zeros(3, 64, 64, dtype=torch.uint8) for _ in SIZES]
    for sample in data["data_samples"]:
        sample.set_metainfo(dict(img_shape=(64, 64)))
    inputs, samples = prepared(sides[0], data)
    assert torch.equal(translation(*sides)(inputs, samples), prepared(sides[1], data)[0])
    assert torch.equal(translation(*sides)(inputs), prepared(sides[1], data)[0])  # nothing is known of a border


def test_an_img_shape_that_a_pipeline_left_behind_takes_no_pixel_away():
    sides = preprocessor("mmdet", 0), preprocessor("mmdet", 0, **CAFFE)
    data = images("mmdet")
    for sample in data["data_samples"]:
        sample.set_metainfo(dict(img_shape=(8, 8)))
    inputs, samples = prepared(sides[0], data)
    expected, _ = prepared(sides[1], data)
    height, width = SIZES[1]
    pixels = slice(None), slice(0, height), slice(0, width)
    torch.testing.assert_close(translation(*sides)(inputs, samples)[1][pixels], expected[1][pixels])


def test_a_batch_that_was_resized_has_its_border_where_the_resized_images_end(monkeypatch):
    augment = dict(type="mmdet.BatchSyncRandomResize", random_size_range=(96, 96), interval=10)
    sides = [preprocessor("mmdet", pad, **part, batch_augments=[augment]) for part, pad in (({}, 114), (CAFFE, 0))]
    data = images("mmdet")
    for side in sides:
        side.batch_augments[0]._input_size = (96, 96)
    monkeypatch.setattr(MessageHub.get_current_instance(), "_runtime_info", {"iter": 0})
    inputs, samples = prepared(sides[0], data)
    expected, _ = prepared(sides[1], data)
    translated = translation(*sides)(inputs, samples)
    for index, (height, width) in enumerate(SIZES):
        ends = int(height * 1.5), int(width * 1.5)
        for part in (
            (slice(0, ends[0] - 2), slice(0, ends[1] - 2)),  # what lies between is a mixture of both
            (slice(ends[0] + 2, None), slice(None)),
            (slice(None), slice(ends[1] + 2, None)),
        ):
            torch.testing.assert_close(
                translated[index][:, part[0], part[1]], expected[index][:, part[0], part[1]], rtol=1e-4, atol=1e-2
            )


def test_what_the_teachers_neck_says_of_padded_images_is_what_it_says_by_itself():
    student, teacher = detector(), detector(8)
    student["data_preprocessor"] = dict(type="mmdet.DetDataPreprocessor", pad_size_divisor=32)
    teacher["data_preprocessor"] = dict(type="mmdet.DetDataPreprocessor", pad_size_divisor=32, **CAFFE)
    model = algorithm(architecture=student, teacher=teacher, distiller=feature_distiller(), random_teacher=True)
    model.train()
    data, seen = images("mmdet"), []
    model.teacher.neck.register_forward_hook(lambda module, args, output: seen.append(output))
    model(**model.data_preprocessor(copy.deepcopy(data), training=True), mode="loss")
    with torch.no_grad():
        expected = model.teacher.extract_feat(prepared(model.teacher.data_preprocessor, data)[0])
    for found, level in zip(seen[0], expected, strict=True):
        assert (found - level).norm() < 1e-4 * level.norm()


@pytest.mark.parametrize(("own", "other", "said"), [(32, 128, True), (1, 32, True), (128, 32, False), (32, 32, False)])
def test_a_larger_divisor_of_the_teachers_is_named(own, other, said):
    sides = [MODELS.build(dict(type="mmdet.DetDataPreprocessor", pad_size_divisor=size)) for size in (own, other)]
    with warnings_logged() as heard:
        warn_of_divisors(*sides)
    assert bool([text for text in heard if f"multiples of {other}" in text]) is said


def test_a_size_that_the_teachers_divisor_divides_is_no_difference():
    student = MODELS.build(dict(type="mmseg.SegDataPreProcessor", size=(64, 96)))
    for divisor, said in ((32, False), (36, True)):
        teacher = MODELS.build(dict(type="mmseg.SegDataPreProcessor", size_divisor=divisor))
        with warnings_logged() as heard:
            warn_of_divisors(student, teacher)
        assert bool(heard) is said


def test_divisors_are_compared_before_the_run():
    student, teacher = detector(), detector(8)
    for model, divisor in ((student, 32), (teacher, 128)):
        model["data_preprocessor"] = dict(type="mmdet.DetDataPreprocessor", pad_size_divisor=divisor)
    with warnings_logged() as heard:
        algorithm(architecture=student, teacher=teacher, distiller=feature_distiller(), random_teacher=True)
    assert [text for text in heard if "multiples of 128" in text]
