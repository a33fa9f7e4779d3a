"""Every pair of the zoo has every method of its task that can work on it."""

from __future__ import annotations

import re

import pytest
from zoo.runs import entries

from mmdist.engine.config import load_config

CLASSIFIERS = {"kd", "dkd", "dist", "distplus", "sdkd", "sddkd", "sdnkd", "dckd"}
SEGMENTERS = {"kd", "cwd", "dist", "distplus", "rdd", "rdd-dist", "sdd"}
DETECTORS = {"mimic", "pkd", "dist", "dist-mimic", "distplus", "rdd", "sdd", "dckd"}
REFUSED = {"cascade-mask-rcnn-x101_faster-rcnn-r50": {"rdd"}}  # refused: regions are known after the student's pass
MATRIX = {
    ("in1k", pair): CLASSIFIERS
    for pair in (
        *("resnet34_resnet18", "resnet50_mobilenetv1", "resnet50_mobilenetv2", "swin-l_swin-t"),
        *("resnet50-rsb_resnet18", "resnet50-rsb_resnet34", "resnet50-rsb_efficientnet-b0"),
    )
}
MATRIX |= {
    ("cifar100", pair): CLASSIFIERS
    for pair in (
        *("wrn-40-2_wrn-40-1", "wrn-40-2_shufflenetv1", "resnet56_resnet20", "resnet50_mobilenetv2", "resnet50_vgg8"),
        *("resnet32x4_resnet8x4", "resnet32x4_shufflenetv1", "resnet32x4_shufflenetv2"),
        *("vgg13_vgg8", "vgg13_mobilenetv2"),
    )
}
DEEPLAB = "deeplabv3-r101_deeplabv3-r18"
MATRIX |= {
    (data, pair): SEGMENTERS
    for data, pairs in {
        "cityscapes": (DEEPLAB, "deeplabv3-r101_pspnet-r18", "deeplabv3-r101_deeplabv3-mbv2"),
        "voc12aug": (DEEPLAB, "deeplabv3-r101_pspnet-r18"),
        "camvid": (DEEPLAB, "deeplabv3-r101_pspnet-r18"),
        "ade20k": (DEEPLAB, "segformer-b3_segformer-b0"),
    }.items()
    for pair in pairs
}
MATRIX |= {
    ("coco", pair): DETECTORS - REFUSED.get(pair, set())
    for pair in (
        *("retinanet-x101_retinanet-r50", "cascade-mask-rcnn-x101_faster-rcnn-r50", "gfl-r101_gfl-r50"),
        *("fcos-r101_fcos-r50", "rtmdet-l_rtmdet-s"),
    )
}


@pytest.mark.parametrize(("data", "pair"), MATRIX, ids=lambda value: value)
def test_a_pair_has_every_method_of_its_task(data, pair):
    parts = [entry.name.split("_") for entry in entries() if entry.name.endswith(f"_{data}")]
    assert {method for method, *others in parts if "_".join(others[:2]) == pair} >= MATRIX[data, pair]


@pytest.mark.parametrize(("data", "pair"), MATRIX, ids=lambda value: value)
def test_auto_scale_lr_starts_from_the_pictures_an_iteration_that_the_name_has(data, pair):
    names = [e for e in entries() if e.name.startswith(f"dist_{pair}_") and e.name.endswith(f"_{data}")]
    for entry in names:
        processes, pictures = re.search(r"_(\d+)xb(\d+)_", entry.name).groups()
        expected = int(processes) * int(pictures)
        assert load_config(str(entry.path)).auto_scale_lr.base_batch_size == expected
    assert names
