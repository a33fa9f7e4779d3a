"""The number that a comparison compares."""

from __future__ import annotations

from typing import Any

from mmengine.config import Config

from mmdist.apis.comparison.results import Metric
from mmdist.apis.comparison.split import evaluators
from mmdist.errors import ConfigError

MAP = "coco/bbox_mAP"
# By the evaluator's class: the key that it logs, without a prefix of the user's own.
KNOWN = {
    "IoUMetric": Metric("mIoU", "mIoU"),
    "Accuracy": Metric("accuracy/top1", "top-1"),
    "MultiLabelMetric": Metric("multi-label/f1-score", "F1 score"),
    "AveragePrecision": Metric("multi-label/mAP", "mAP"),
    "SingleLabelMetric": Metric("single-label/f1-score", "F1 score"),
    # MMDetection logs nothing where nothing at all was detected.
    "CocoMetric": Metric(MAP, "mAP", scale=100.0, absent=0.0),
    "LVISMetric": Metric("lvis/bbox_AP", "AP", scale=100.0),
    "VOCMetric": Metric("pascal_voc/mAP", "mAP", scale=100.0),
    "OpenImagesMetric": Metric("openimages/mAP", "mAP", scale=100.0),
}
# Words of keys of which less is better.
LOWER = ("loss", "error", "err", "mae", "mse", "rmse", "rel", "silog", "log10", "nll", "ece", "epe", "fid", "mr")
IOU = ("mIoU", "mDice", "mFscore")


def metric_of(cfg: Config, key: str | None = None) -> Metric:
    """The metric that a config's evaluator reports.

    Args:
        cfg (Config): With a ``val_evaluator``.
        key (str, optional): The one that the user names; what the evaluator is known for by default.

    Returns:
        Metric: How it is logged and shown.

    Raises:
        ConfigError: There is no evaluator, or one of another kind, and no key was given.

    Example:
        >>> metric_of(Config(dict(val_evaluator=dict(type='IoUMetric', iou_metrics=['mDice'])))).key
        'mDice'
    """
    given = evaluators(cfg.get("val_evaluator"))
    found = [_known(evaluator) for evaluator in given]
    if key is not None:
        return next((metric for metric in found if metric and metric.key == key), named(key))
    for metric in found:
        if metric is not None:
            return metric
    types = [str(evaluator.get("type")) for evaluator in given]
    raise ConfigError(
        "--metric", None, "the key of a metric as the log has it", f"val_evaluator is {types or 'missing'}"
    )


def named(key: str) -> Metric:
    """A metric that nothing is known of but its key.

    Example:
        >>> named('my/error').higher
        False
    """
    last = key.rpartition("/")[2]
    words = last.lower().replace("-", "_").split("_")
    return Metric(key, last, higher=not any(word in LOWER for word in words))


def _known(evaluator: dict[str, Any]) -> Metric | None:
    name = str(evaluator.get("type")).rpartition(".")[2]
    metric = KNOWN.get(name)
    if metric is None:
        return None
    first, last = metric.key.rpartition("/")[::2]
    if name == "IoUMetric":
        kinds = evaluator.get("iou_metrics") or ["mIoU"]
        last = next((kind for kind in kinds if kind in IOU), last)
    if name == "Accuracy" and evaluator.get("topk"):
        topk = evaluator["topk"]
        best = min(topk) if isinstance(topk, list | tuple) else topk
        last = f"top{best}"
    if name == "CocoMetric" and evaluator.get("metric"):
        kinds = evaluator["metric"] if isinstance(evaluator["metric"], list | tuple) else [evaluator["metric"]]
        last = "bbox_mAP" if "bbox" in kinds else f"{kinds[0]}_mAP"
    prefix = evaluator.get("prefix") or first
    shown = metric.name if last == metric.key.rpartition("/")[2] else last.replace("_", " ")
    return Metric(f"{prefix}/{last}" if prefix else last, shown, metric.scale, metric.higher, metric.absent)
