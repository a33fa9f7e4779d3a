"""Classifiers of mmpretrain."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor

from mmdist.engine.gap.agreement import Comparison
from mmdist.engine.gap.calibration import PixelSample
from mmdist.engine.gap.findings import SIDES, Findings, sorted_classes
from mmdist.errors import MMDistError

ALL = 1 << 62  # of a picture there is one prediction: none has to be left out


def compare_classifiers(batches: Iterable[tuple[Sequence[Any], Sequence[Any]]], names: list[str] | None) -> Findings:
    """Compare the predictions of two classifiers.

    Args:
        batches (Iterable[tuple[Sequence, Sequence]]): The data samples that teacher and student predicted, with
            ``pred_score`` (C,) and ``gt_label`` (1,).
        names (list[str], optional): (C,) of the classes.

    Returns:
        Findings: Per class the accuracy: the share of its pictures that are recognised.

    Raises:
        MMDistError: Several labels a picture, or none; or models of different classes.
    """
    both: Comparison | None = None
    for teacher, student in batches:
        scores = [torch.stack([sample.pred_score for sample in samples]) for samples in (teacher, student)]
        both = both or Comparison(len(names) if names else scores[1].shape[1], PixelSample(ALL))
        both.update(_labels(student).to(scores[0].device), *scores)
    if both is None:
        raise MMDistError("the data has no pictures")
    support = both.confusion["student"].sum(1)
    names = names or [str(index) for index in range(both.classes)]
    # 0 / 0 is NaN: a class that is not in the data.
    recall = [both.confusion[side].diag().double() / support for side in SIDES]
    return Findings(
        task="classification",
        unit="pictures",
        count=both.count,
        metric="accuracy",
        overall={"accuracy": both.accuracy()},
        agreement=both.agreement(),
        classes=sorted_classes(names, *(r.tolist() for r in recall), support.tolist()),
        calibration=both.calibrations(),
    )


def _labels(samples: Sequence[Any]) -> Tensor:
    labels = [sample.get("gt_label") for sample in samples]
    if any(label is None for label in labels):
        raise MMDistError("the data has pictures without gt_label: the report needs labels")
    if any(label.numel() != 1 for label in labels):
        raise MMDistError("the data has several labels a picture: the report compares classifiers of one label")
    return torch.cat([label.reshape(1) for label in labels])
