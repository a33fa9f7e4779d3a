"""Predictions are counted as the libraries' own metrics count them."""

from __future__ import annotations

import pytest
import torch
from mmengine.structures import PixelData
from mmpretrain.evaluation import Accuracy
from mmpretrain.structures import DataSample
from mmseg.evaluation import IoUMetric
from mmseg.structures import SegDataSample
from torch import Tensor

from mmdist.apis.diagnosis.tallies import ClassifierTally, SegmenterTally


def segmented(label: Tensor, logits: Tensor) -> SegDataSample:
    sample = SegDataSample()
    sample.gt_sem_seg = PixelData(data=label[None])
    sample.seg_logits = PixelData(data=logits)
    sample.pred_sem_seg = PixelData(data=logits.argmax(0, keepdim=True))
    return sample


def test_a_segmenter_has_the_miou_of_mmseg() -> None:
    generator = torch.Generator().manual_seed(0)
    tally, areas = SegmenterTally(4), []
    for index in range(5):
        label = torch.randint(0, 4, (9, 13), generator=generator)
        label[index] = 255
        logits = torch.rand(4, 9, 13, generator=generator)
        tally.update(index % 2, segmented(label, logits))
        areas.append(IoUMetric.intersect_and_union(logits.argmax(0), label, 4, 255))
    expected = IoUMetric.total_area_to_metrics(*(sum(area) for area in zip(*areas, strict=True)))["IoU"].mean()
    found = tally.result()
    assert found.value == pytest.approx(float(expected))
    assert 0.1 < found.chance < 0.2 and len(found.scores) == 5
    assert int(found.halves[0].sum()) == 3 * 8 * 13 and int(found.halves[1].sum()) == 2 * 8 * 13


def test_a_model_of_more_classes_than_the_data_is_counted_too() -> None:
    logits = torch.zeros(6, 2, 2)
    logits[5] = 1
    tally = SegmenterTally(3)
    tally.update(0, segmented(torch.tensor([[0, 1], [2, 2]]), logits))
    assert tally.result().confusion[:, 5].tolist() == [1, 1, 2, 0, 0, 0]


def test_a_classifier_has_the_accuracy_of_mmpretrain_and_rows_for_what_is_there() -> None:
    generator = torch.Generator().manual_seed(0)
    scores, labels = torch.rand(40, 21841, generator=generator).softmax(1), torch.tensor([5, 21000] * 20)
    scores[::3, 5] = 0.9
    tally = ClassifierTally()
    for index, (score, label) in enumerate(zip(scores, labels, strict=True)):
        tally.update(index % 2, DataSample().set_gt_label(label).set_pred_score(score))
    found = tally.result()
    assert found.value == pytest.approx(float(Accuracy.calculate(scores, labels, topk=(1,))[0][0]) / 100)
    assert {5, 21000} <= set(found.numbers) and len(found.confusion) == len(found.numbers) <= 42
    assert found.scores[0] == pytest.approx(0.9)


def test_equal_scores_are_no_confidence_and_one_class_alone_is_all() -> None:
    tally = ClassifierTally()
    tally.update(0, DataSample().set_gt_label(1).set_pred_score(torch.full((4,), 0.25)))
    assert tally.result().confidence == pytest.approx(0)
    tally = SegmenterTally(2)
    tally.update(0, segmented(torch.zeros(8, 8).long(), torch.stack([torch.full((8, 8), 50.0), torch.zeros(8, 8)])))
    assert tally.result().confidence == pytest.approx(1)
