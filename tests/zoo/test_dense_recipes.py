"""The configs for dense prediction have the settings of the papers."""

from __future__ import annotations

from functools import cache

import pytest
import torch
from mmengine.config import Config, ConfigDict
from mmengine.registry import MODELS, DefaultScope
from mmengine.structures import InstanceData
from torch import nn
from zoo.runs import ROOT, prepare

from mmdist.models.recorders import MethodRecorder

SEG = "deeplabv3-r101_deeplabv3-r18"
RETINA = "retinanet-x101_retinanet-r50_8xb2_2x_coco"
CASCADE = "cascade-mask-rcnn-x101_faster-rcnn-r50_8xb2_2x_coco"


@cache
def config(path: str) -> ConfigDict:
    return Config.fromfile(ROOT / f"configs/{path}.py")._cfg_dict


def schedule(cfg: ConfigDict) -> tuple:
    (scheduler,), optimizer = cfg.param_scheduler, cfg.optim_wrapper.optimizer
    return optimizer.lr, optimizer.weight_decay, scheduler.power, scheduler.eta_min, scheduler.end


def test_dist_on_cityscapes_trains_as_its_authors_do():
    cfg = config(f"dist/dist_{SEG}_8xb2_40k_cityscapes")
    assert schedule(cfg) == (0.02, 5e-4, 0.9, 1e-4, 40000)
    assert (cfg.train_cfg.max_iters, cfg.train_dataloader.batch_size) == (40000, 2)
    losses = cfg.model.distiller.distill_losses
    assert {name: loss.loss_weight for name, loss in losses.items()} == dict(loss_dist=1.0, loss_dist_aux=0.4)
    assert set(cfg.model.distiller.student_recorders) == {"logits", "auxiliary"}
    student = cfg.model.architecture
    assert student.decode_head.align_corners and student.auxiliary_head.align_corners
    assert (student.auxiliary_head.loss_decode.loss_weight, student.data_preprocessor["size"]) == (0.4, (512, 1024))


@pytest.mark.parametrize(
    ("schedule_and_data", "iterations", "crop"),
    [
        ("40k_cityscapes", 40000, (512, 1024)),
        ("80k_ade20k", 80000, (512, 512)),
        ("40k_voc12aug", 40000, (512, 512)),
        ("40k_camvid", 40000, (360, 360)),
    ],
)
def test_rdd_trains_as_its_released_scripts_do(schedule_and_data, iterations, crop):
    cfg = config(f"rdd/rdd_{SEG}_4xb4_{schedule_and_data}")
    assert schedule(cfg) == (0.02, 1e-4, 0.9, 0.0, iterations)
    assert (cfg.train_cfg.max_iters, cfg.train_dataloader.batch_size) == (iterations, 4)
    assert cfg.optim_wrapper.type == "AmpOptimWrapper"
    data = cfg.train_dataloader.dataset
    for pipeline in [part.pipeline for part in data.get("datasets", [data])]:
        steps = {step.type: step for step in pipeline}
        assert "PhotoMetricDistortion" not in steps
        assert steps["RandomResize"].ratio_range == (0.5, 2.0)
        crops = steps["RandomCrop"]
        assert (crops.crop_size, crops.get("cat_max_ratio", 1.0)) == (crop, 1.0)
    assert cfg.model.architecture.data_preprocessor["size"] == crop
    weighting, kd = cfg.model.weighting, cfg.model.distiller.distill_losses.loss_kd
    assert (weighting.warmup, weighting.threshold, weighting.mode) == (0.1, 0.7, "xor")
    assert len(weighting.get("class_weight", ())) == (19 if "cityscapes" in schedule_and_data else 0)
    assert (kd.tau, kd.loss_weight) == (1.0, 1.0)


def test_camvid_knows_that_label_11_is_no_class_everywhere():
    cfg = config(f"rdd/rdd_{SEG}_4xb4_40k_camvid")
    student = cfg.model.architecture
    assert [head.ignore_index for head in (student.decode_head, student.auxiliary_head)] == [11, 11]
    assert student.data_preprocessor.seg_pad_val == cfg.val_evaluator.ignore_index == 11
    teacher = Config.fromfile(cfg.model.teacher).model
    assert [head.ignore_index for head in (teacher.decode_head, teacher.auxiliary_head)] == [11, 11]
    assert teacher.data_preprocessor.seg_pad_val == 11


@pytest.mark.parametrize(
    ("name", "losses", "levels"),
    [
        ("distplus/distplus", ("loss_dist", "loss_teacher"), 5),
        ("sdd/sdd", ("loss_sdd",), 5),
        ("dckd/dckd", ("loss_dckd",), 5),
    ],
)
def test_all_five_levels_of_retinanet_are_compared_each_with_itself(name, losses, levels):
    distiller = config(f"{name}_{RETINA}").model.distiller
    for loss in losses:
        for level in range(levels):
            mapping = distiller.loss_forward_mappings[f"{loss}_{level}"]
            assert {record.record_idx for record in mapping.values()} == {level}
            classes = distiller.distill_losses[f"{loss}_{level}"].get("num_classes", 80)
            assert classes == 80
    assert f"{losses[0]}_{levels}" not in distiller.distill_losses


@pytest.mark.parametrize(
    "pair",
    ["gfl-r101_gfl-r50_8xb2_1x_coco", "fcos-r101_fcos-r50_8xb2_2x_coco", "rtmdet-l_rtmdet-s_8xb32_300e_coco"],
)
def test_the_labels_of_a_dense_head_are_those_that_its_loss_is_given(pair):
    cfg = config(f"dckd/dckd_{pair}").model
    prepare("mmdet")
    with DefaultScope.overwrite_default_scope("mmdet"):
        head = MODELS.build(cfg.architecture.bbox_head | dict(train_cfg=cfg.architecture.get("train_cfg")))
    levels = 3 if "rtmdet" in pair else 5
    pyramid = [torch.randn(2, head.in_channels, 2 ** (5 - n), 2 ** (5 - n)) for n in range(levels)]
    boxes = torch.tensor([[20.0, 20.0, 90.0, 100.0], [100.0, 80.0, 200.0, 210.0]])
    objects = [InstanceData(bboxes=boxes + 9 * n, labels=torch.tensor([7, 70 + n])) for n in range(2)]
    given = []
    head.loss_cls.register_forward_pre_hook(lambda module, args: given.append(args[1]))
    source = cfg.distiller.student_recorders.labels.source
    recorder = MethodRecorder(source)
    recorder.initialize(nn.ModuleDict(dict(bbox_head=head)))
    with recorder:
        shape = dict(img_shape=(256, 256), pad_shape=(256, 256))
        scores, *others = head(pyramid)
        head.loss_by_feat(scores, *others, objects, [shape, shape])
    assigned = recorder.get_record_data(0, cfg.distiller.loss_forward_mappings.loss_dckd.gt_labels.data_idx)
    assert [labels.numel() for labels in assigned] == [score[:, 0].numel() for score in scores]
    seen = torch.cat([labels[0] if isinstance(labels, tuple) else labels for labels in given])
    assert torch.equal(torch.cat([labels.reshape(-1) for labels in assigned]), seen)
    assert {7, 70, 71} <= set(seen.tolist())


@pytest.mark.parametrize("pair", [RETINA, CASCADE])
def test_mimic_adds_the_mean_squared_difference_of_five_aligned_levels_to_dist(pair):
    distiller = config(f"dist/dist-mimic_{pair}").model.distiller
    assert set(distiller.distill_losses) == {"loss_dist", *(f"loss_mimic_{level}" for level in range(5))}
    assert {loss.loss_weight for loss in distiller.distill_losses.values()} == {1.0}
    for level in range(5):
        mapping = distiller.loss_forward_mappings[f"loss_mimic_{level}"]
        assert (mapping.pred.data_idx, mapping.target.data_idx) == (level, level)
        assert mapping.pred.connector == f"align_{level}"


@pytest.mark.parametrize("name", ["dist/dist", "dist/dist-mimic", "distplus/distplus", "dckd/dckd"])
def test_a_cascade_answers_with_its_first_stage(name):
    distiller = config(f"{name}_{CASCADE}").model.distiller
    sources = {side: [r.source for r in distiller[f"{side}_recorders"].values()] for side in ("teacher", "student")}
    assert "roi_head.bbox_head.0.fc_cls" in sources["teacher"]
    assert "roi_head.bbox_head.fc_cls" in sources["student"]


@pytest.mark.parametrize(("pair", "weight"), [(RETINA, 10.0), (CASCADE, 6.0)])
def test_pkd_has_mmrazors_weights_on_four_levels(pair, weight):
    losses = config(f"pkd/pkd_{pair}").model.distiller.distill_losses
    assert [loss.loss_weight for loss in losses.values()] == [weight] * 4
