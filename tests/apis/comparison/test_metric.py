"""Which number is compared: the keys that the libraries' own metrics log."""

from __future__ import annotations

import pytest
from mmengine.config import Config

from mmdist.apis.comparison.metric import metric_of, named
from mmdist.errors import ConfigError


def logged_prefix(module: str, name: str) -> str:
    from importlib import import_module

    return getattr(import_module(module), name).default_prefix or ""


@pytest.mark.parametrize(
    ("module", "evaluator", "key"),
    [
        ("mmseg.evaluation", dict(type="IoUMetric", iou_metrics=["mIoU"]), "mIoU"),
        ("mmseg.evaluation", dict(type="mmseg.IoUMetric", iou_metrics=["mFscore"]), "mFscore"),
        ("mmdet.evaluation", dict(type="CocoMetric", metric=["bbox", "segm"]), "coco/bbox_mAP"),
        ("mmdet.evaluation", dict(type="CocoMetric", metric="segm"), "coco/segm_mAP"),
        ("mmdet.evaluation", dict(type="VOCMetric"), "pascal_voc/mAP"),
        ("mmpretrain.evaluation", dict(type="Accuracy", topk=(1, 5)), "accuracy/top1"),
        ("mmpretrain.evaluation", dict(type="Accuracy", topk=5), "accuracy/top5"),
        ("mmpretrain.evaluation", dict(type="AveragePrecision"), "multi-label/mAP"),
    ],
)
def test_the_evaluators_own_key_is_compared(module: str, evaluator: dict, key: str) -> None:
    found = metric_of(Config(dict(val_evaluator=[evaluator])))
    assert found.key == key and found.higher
    prefix = logged_prefix(module, evaluator["type"].rpartition(".")[2])
    assert key.rpartition("/")[0] == prefix


def test_a_prefix_of_the_users_own_counts() -> None:
    assert metric_of(Config(dict(val_evaluator=dict(type="Accuracy", prefix="mine")))).key == "mine/top1"


@pytest.mark.parametrize(
    ("key", "higher"),
    [("a/loss", False), ("depth/rmse", False), ("mAP", True), ("my-error", False), ("error_rate", False)]
    + [(name, False) for name in ("abs_rel", "sq_rel", "rmse", "log10", "rmse_log", "silog")]  # MMSegmentation's
    + [("d1", True), ("accuracy/top1", True), ("boundary_iou", True)],
    ids=str,
)
def test_of_losses_and_errors_less_is_better(key: str, higher: bool) -> None:
    assert named(key).higher is higher


@pytest.mark.parametrize("evaluator", [None, dict(type="MyMetric"), []])
def test_without_a_known_metric_the_key_is_asked_for(evaluator: object) -> None:
    cfg = Config(dict(val_evaluator=evaluator))
    with pytest.raises(ConfigError, match="--metric"):
        metric_of(cfg)
    assert metric_of(cfg, "my/score").key == "my/score"
