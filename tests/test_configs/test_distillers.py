"""The distillers of logits and regions: what they compare, with which settings, and that they train."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from helpers.tiny_models import algorithm, batch, classifier, detector, detector_batch, segmentor, segmentor_batch
from helpers.tiny_students import DETECTOR
from mmengine.config import Config
from mmengine.registry import MODELS, DefaultScope

from mmdist.models.losses import SDDLoss

BASE = Path(__file__).parents[2] / "configs" / "_base_"
FOLDER = BASE / "distillers"
ASSIGNER = dict(type="MaxIoUAssigner", pos_iou_thr=0.5, neg_iou_thr=0.4, min_pos_iou=0, ignore_iof_thr=-1)
TRAIN = dict(assigner=ASSIGNER, sampler=dict(type="PseudoSampler"), allowed_border=-1, pos_weight=-1)


def retinanet() -> dict:
    return dict(DETECTOR, _scope_="mmdet", train_cfg=TRAIN, bbox_head=dict(DETECTOR["bbox_head"], num_classes=10))


# task: student, teacher, batch
TASKS = {
    "fc": (classifier, lambda: classifier(8), batch),
    "conv_seg": (segmentor, lambda: segmentor(8), segmentor_batch),
    "retina": (retinanet, retinanet, detector_batch),
    "roi": (detector, lambda: detector(8), detector_batch),
}
# distiller: its losses, as they were published for the task, or as ours is set
DISTILLERS = {
    "kd_fc": "KDLoss(tau=4.0, activation='softmax', loss_weight=0.9)",
    "dkd_fc": "DKDLoss(alpha=1.0, beta=8.0, tau=4.0, loss_weight=1.0)",
    "nkd_fc": "NKDLoss(gamma=1.5, tau=1.0, legacy_mask=False, loss_weight=1.0)",
    "dckd_fc": "DCKDLoss(alpha=1.0, beta=8.0, tau=4.0, target_reference='best', non_target='wrong', loss_weight=1.0)",
    "dckd_conv_seg": "DCKDLoss(alpha=1.0, beta=0.5, tau=1.0, target_reference='best', non_target='wrong', loss_",
    "dckd_retina": "DCKDLoss(alpha=1.0, beta=0.25, tau=1.0, target_reference='best', non_target='wrong', loss_",
    "dckd_roi_cls": "DCKDLoss(alpha=1.0, beta=0.25, tau=1.0, target_reference='best', non_target='wrong', loss_",
    "kd_retina": "KDLoss(tau=1.0, activation='sigmoid', loss_weight=1.0)",
    "sdkd_fc": "KDLoss(tau=4.0, activation='softmax', loss_weight=1.0)",
    "sddkd_fc": "DKDLoss(alpha=1.0, beta=8.0, tau=4.0, loss_weight=1.0)",
    "sdnkd_fc": "NKDLoss(gamma=1.5, tau=1.0, legacy_mask=False, loss_weight=1.0)",
    "sdd_conv_seg": "KDLoss(tau=1.0, activation='softmax', loss_weight=1.0)",
    "sdd_retina": "KDLoss(tau=1.0, activation='sigmoid', loss_weight=1.0)",
    "sdd_roi": "DKDLoss(alpha=1.0, beta=0.25, tau=1.0, loss_weight=1.0)",
}


@pytest.mark.parametrize("name", DISTILLERS)
def test_a_distiller_trains_the_student_with_the_settings_that_it_names(name):
    method, _, task = name.partition("_")
    student, teacher, data = TASKS[task.removesuffix("_cls")]
    with DefaultScope.overwrite_default_scope("mmdet" if task == "retina" else None):
        cfg = Config.fromfile(FOLDER / f"{name}.py").distiller
        model = algorithm(architecture=student(), teacher=teacher(), distiller=cfg)
    for layer in (side.bbox_head.retina_cls for side in (model.student, model.teacher) if task == "retina"):
        torch.nn.init.normal_(layer.weight, std=0.5)  # scores that are not all nearly 0
    losses = model(**model.data_preprocessor(data(), training=True), mode="loss")
    found = {key: value for key, value in losses.items() if key.startswith("distill.")}
    key = f"loss_{'sdd' if method.startswith('sd') else method}"
    levels = [f"distill.{key}_{level}" for level in range(3)]
    assert list(found) == (levels if task == "retina" else [f"distill.{key}"])
    assert sum(found.values()) > 0
    sum(found.values()).backward()
    assert any(parameter.grad is not None and parameter.grad.any() for parameter in model.student.parameters())
    for loss in model.distiller.distill_losses.values():
        assert repr(getattr(loss, "base", loss) if isinstance(loss, SDDLoss) else loss).startswith(DISTILLERS[name])


def test_regions_of_a_picture_differ_by_correctness_of_a_pyramids_levels_by_agreement():
    losses = {name: Config.fromfile(FOLDER / f"{name}.py").distiller for name in DISTILLERS if name.startswith("sd")}
    built = {name: MODELS.build(next(iter(cfg.distill_losses.values()))) for name, cfg in losses.items()}
    assert {name for name, loss in built.items() if loss.split == "agreement"} == {"sdd_retina"}
    assert {name for name, loss in built.items() if loss.complementary_weight == 1} == {"sdd_roi"}
    assert {name: loss.loss_weight for name, loss in built.items() if loss.loss_weight != 1} == {"sdkd_fc": 0.9}


# as published, line by line: grids of SD-KD and SD-DKD, grids of SD-NKD, beta and gamma, tau, warm-up
FINE, COARSE = (1, 2, 4), (1, 2)
PUBLISHED = {
    "resnet32x4_resnet8x4": (COARSE, COARSE, 8, 4, 20),
    "vgg13_vgg8": (COARSE, COARSE, 6, 4, 20),
    "resnet32x4_shufflenetv1": (FINE, FINE, 8, 4, 20),
    "resnet32x4_shufflenetv2": (FINE, FINE, 8, 4, 20),
    "resnet32x4_mobilenetv2": (FINE, FINE, 8, 4, 20),
    "wrn-40-2_shufflenetv1": (FINE, FINE, 8, 4, 20),
    "wrn-40-2_vgg8": (FINE, COARSE, 8, 4, 20),
    "wrn-40-2_mobilenetv2": (FINE, FINE, 6, 4, 20),
    "wrn-40-2_wrn-16-2": (COARSE, COARSE, 6, 4, 20),
    "wrn-40-2_wrn-40-1": (COARSE, COARSE, 6, 4, 20),
    "vgg13_mobilenetv2": (FINE, COARSE, 6, 4, 20),
    "resnet50_mobilenetv2": (FINE, FINE, 8, 4, 20),
    "resnet50_shufflenetv1": (FINE, FINE, 8, 4, 20),
    "resnet50_vgg8": (FINE, COARSE, 8, 4, 20),
    "resnet34_resnet18": (COARSE, COARSE, 0.5, 1, 1),
    "resnet50_mobilenetv1": (FINE, FINE, 2, 1, 1),
}


def pairs() -> dict:
    return Config.fromfile(FOLDER / "sdd_pairs.py").sdd_pairs


def test_the_published_pairs_are_all_there():
    assert set(pairs()) == set(PUBLISHED)
    networks = {path.stem for path in (BASE / "models" / "cifar").glob("*.py")}
    for name, (*_, tau, _) in PUBLISHED.items():
        if tau == 4:
            assert {network.replace("-", "_") for network in name.split("_")} <= networks


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_published_pair_has_its_settings(name):
    scales, scales_nkd, beta, tau, warmup = PUBLISHED[name]
    expected = {
        "sdkd": (scales, 0.1, 0.9, 0, "KDLoss", dict(tau=4, activation="softmax")),
        "sddkd": (scales, 1, 1, warmup, "DKDLoss", dict(alpha=1, beta=beta, tau=tau)),
        "sdnkd": (scales_nkd, 1, 1, warmup, "NKDLoss", dict(gamma=beta, tau=tau, legacy_mask=True)),
    }
    assert set(pairs()[name]) == set(expected)
    for variant, settings in pairs()[name].items():
        head, loss = MODELS.build(settings.head), MODELS.build(settings.loss)
        assert (loss.complementary_weight, loss.split) == (2, "correctness")
        base = type(loss.base).__name__
        found = (head.scales, settings.ce_weight, loss.loss_weight, loss.warmup_epochs, base, loss.base.kwargs())
        assert found == expected[variant]


def test_the_settings_of_a_pair_fit_into_the_distiller(tmp_path):
    text = f"""
_base_ = [{str(BASE / "pairs/demo/resnet18_mnist5k.py")!r}, {str(FOLDER / "sddkd_fc.py")!r},
    {str(FOLDER / "sdd_pairs.py")!r}]
settings = _base_.sdd_pairs["vgg13_mobilenetv2"].sddkd
distiller = _base_.distiller
distiller.connectors.regions = settings.head
distiller.distill_losses.loss_sdd = settings.loss
model = dict(architecture=dict(head=dict(loss=dict(loss_weight=settings.ce_weight))), distiller=distiller)
"""
    path = tmp_path / "config.py"
    path.write_text(text)
    cfg = Config.fromfile(path)
    with DefaultScope.overwrite_default_scope("mmpretrain"):
        model = MODELS.build({**cfg.model, "random_teacher": True})
    assert model.distiller.connectors.regions.scales == FINE
    assert model.distiller.distill_losses.loss_sdd.base.beta == 6
    assert model.student.head.loss_module.loss_weight == 1.0
