"""Detections: pairs found by hand, AP beside mmdet's own metric, sizes and scores of known objects."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from mmdet.evaluation import CocoMetric
from mmdet.structures import DetDataSample
from mmengine.structures import InstanceData

from mmdist.engine.gap.coco import Truth, evaluate, tertiles
from mmdist.engine.gap.detection import compare_detectors, read_truth
from mmdist.engine.gap.matching import Agreement, Detections, match
from mmdist.errors import MMDistError

NAMES = ["cat", "dog"]


def found(*rows: tuple[float, float, float, float, float, int]) -> Detections:
    """Left, top, right, bottom, score, label."""
    table = torch.tensor([row[:5] for row in rows], dtype=torch.float32).reshape(-1, 5)
    return Detections(table[:, :4], table[:, 4], torch.tensor([row[5] for row in rows], dtype=torch.long))


def objects(*rows: tuple[float, float, float, float, int], ignored: tuple[int, ...] = ()) -> Truth:
    boxes = np.array([row[:4] for row in rows], dtype=float).reshape(-1, 4)
    flags = np.isin(np.arange(len(rows)), ignored)
    return Truth(boxes, np.array([row[4] for row in rows], dtype=int), (boxes[:, 2:] - boxes[:, :2]).prod(1), flags)


def sample(image: int, detections: Detections) -> DetDataSample:
    made = DetDataSample(metainfo=dict(img_id=image, ori_shape=(200, 200)))
    made.pred_instances = InstanceData(bboxes=detections.boxes, scores=detections.scores, labels=detections.labels)
    return made


def test_pairs_prefer_the_same_class_and_use_each_detection_once() -> None:
    teacher = found((0, 0, 10, 10, 0.9, 0))
    student = found((0, 0, 10, 10, 0.8, 1), (0, 0, 10, 9, 0.7, 0))
    rows, columns, overlaps = match(teacher, student)
    assert (rows.tolist(), columns.tolist()) == ([0], [1])
    assert overlaps.tolist() == pytest.approx([0.9])


def test_boxes_that_share_less_than_half_are_no_pair() -> None:
    assert len(match(found((0, 0, 10, 10, 0.9, 0)), found((6, 0, 16, 10, 0.9, 0)))[0]) == 0
    assert len(match(found(), found((6, 0, 16, 10, 0.9, 0)))[0]) == 0


def test_agreement_counts_what_is_above_the_threshold() -> None:
    counts = Agreement(0.3)
    counts.update(
        found((0, 0, 10, 10, 0.9, 0), (20, 20, 30, 30, 0.8, 1), (50, 50, 60, 60, 0.6, 1), (80, 80, 90, 90, 0.1, 0)),
        found((0, 0, 10, 10, 0.5, 0), (20, 20, 30, 30, 0.6, 0), (0, 50, 10, 60, 0.4, 1), (50, 50, 60, 60, 0.2, 1)),
    )
    assert counts.shares() == {
        "teacher_detections": 3,
        "student_detections": 3,
        "found_by_student": pytest.approx(2 / 3),
        "found_in_same_class": pytest.approx(1 / 3),
        "student_alone": pytest.approx(1 / 3),
        "mean_iou": pytest.approx(1),
        "score_difference": pytest.approx(0.3),
    }


def test_no_detections_have_no_shares() -> None:
    counts = Agreement(0.3)
    counts.update(found(), found((0, 0, 9, 9, 0.9, 0)))
    shares = counts.shares()
    assert shares["found_by_student"] is None and shares["mean_iou"] is None and shares["student_alone"] == 1


def test_ap_is_that_of_mmdet() -> None:
    rng = np.random.default_rng(0)
    truth, detected, metric = [], [], CocoMetric(classwise=True)
    metric.dataset_meta = dict(classes=tuple(NAMES))
    for image in range(6):
        corners = rng.uniform(0, 90, (4, 2))
        sides = rng.choice([20.0, 60.0, 110.0], (4, 1)) * rng.uniform(0.9, 1.1, (4, 2))
        boxes = np.concatenate([corners, corners + sides], 1)
        labels = rng.integers(0, 2, 4)
        truth.append(objects(*[(*box, label) for box, label in zip(boxes, labels, strict=True)]))
        shifted = boxes + rng.normal(0, 3, boxes.shape)
        rows = [(*b, s, label) for b, s, label in zip(shifted, rng.uniform(0, 1, 4), labels, strict=True)]
        detected.append(found(*rows, (0, 0, 30, 30, 0.5, 1)))
        annotations = [
            dict(bbox=list(box), bbox_label=int(label), ignore_flag=0) for box, label in zip(boxes, labels, strict=True)
        ]
        pred = dict(bboxes=detected[-1].boxes.double(), scores=detected[-1].scores.double(), labels=detected[-1].labels)
        metric.process({}, [dict(pred_instances=pred, img_id=image, ori_shape=(200, 200), instances=annotations)])
    expected = metric.evaluate(6)
    got = evaluate(truth, detected, 2)
    assert 0.05 < np.nanmean(got.ap["all"]) < 0.95
    assert np.nanmean(got.ap["all"]) == pytest.approx(expected["coco/bbox_mAP"], abs=2e-3)
    assert np.nanmean(got.ap50) == pytest.approx(expected["coco/bbox_mAP_50"], abs=2e-3)
    for size, key in (("small", "s"), ("medium", "m"), ("large", "l")):
        assert np.nanmean(got.ap[size]) == pytest.approx(expected[f"coco/bbox_mAP_{key}"], abs=2e-3)
    for index, name in enumerate(NAMES):
        assert got.ap["all"][index] == pytest.approx(expected[f"coco/{name}_precision"], abs=2e-3)


def test_recall_needs_the_score_and_calibration_takes_every_detection() -> None:
    truth = [objects((0, 0, 10, 10, 0), (20, 20, 40, 40, 1))]
    got = evaluate(truth, [found((0, 0, 10, 10, 0.2, 0), (20, 20, 40, 40, 0.9, 1), (60, 60, 70, 70, 0.4, 1))], 2)
    assert got.recall["all"] == 0.5
    assert got.found == dict(all=2, small=2, medium=0, large=0)
    assert sorted(zip(got.scores.round(2), got.right, strict=True)) == [(0.2, True), (0.4, False), (0.9, True)]


def test_what_finds_an_ignored_region_counts_neither_as_right_nor_as_wrong() -> None:
    truth = [objects((0, 0, 10, 10, 0), (20, 20, 90, 90, 0), ignored=(1,))]
    got = evaluate(truth, [found((0, 0, 10, 10, 0.9, 0), (30, 30, 60, 60, 0.8, 0))], 2)
    assert got.found["all"] == 1
    assert got.scores.round(2).tolist() == [0.9]


def test_thirds_have_as_many_objects_each_and_objects_of_one_size_have_none() -> None:
    truth = [objects(*[(0, 0, side, side, 0) for side in range(4, 13)])]
    bins = tertiles(truth)
    assert list(bins) == ["up to 6 px", "6 to 9 px", "above 9 px"]
    got = evaluate(truth, [found()], 1, more_sizes=bins)
    assert [got.found[name] for name in bins] == [3, 3, 3]
    assert tertiles([objects((0, 0, 4, 4, 0), (9, 9, 13, 13, 0), (20, 0, 24, 4, 0))]) == {}
    assert tertiles([objects()]) == {}


def test_a_student_that_is_its_teacher_has_no_gap_and_small_objects_are_split_in_thirds() -> None:
    truth = {0: objects((0, 0, 8, 8, 0), (20, 20, 30, 30, 1)), 1: objects((5, 5, 20, 20, 1))}
    detections = [found((0, 0, 8, 8, 0.9, 0), (20, 20, 30, 28, 0.4, 1)), found((5, 5, 20, 20, 0.2, 1))]
    samples = [sample(index, entry) for index, entry in enumerate(detections)]
    both = compare_detectors([(samples, samples)], NAMES, truth)
    assert both.agreement["found_in_same_class"] == 1
    assert both.overall["mAP"].gap == 0 and both.overall["mAP"].teacher > 0.5
    assert [c.scores.gap for c in both.classes] == [0, 0]
    assert both.count == 3
    assert next(iter(both.parts)) == "small"
    assert [part.support for part in both.parts.values()] == [3, 1, 1, 1]
    assert [round(part.metrics["recall"].student, 3) for part in both.parts.values()] == [0.667, 1, 1, 0]


def test_a_class_that_the_student_misses_is_first() -> None:
    truth = {0: objects((0, 0, 8, 8, 0), (20, 20, 60, 60, 1))}
    teacher = sample(0, found((0, 0, 8, 8, 0.9, 0), (20, 20, 60, 60, 0.9, 1)))
    student = sample(0, found((0, 0, 8, 8, 0.9, 0)))
    both = compare_detectors([([teacher], [student])], NAMES, truth)
    assert (both.classes[0].name, both.classes[0].scores.gap) == ("dog", pytest.approx(1))
    assert both.agreement["found_by_student"] == 0.5
    assert list(both.parts) == ["small", "medium"]


class DataSet:
    """As much of mmdet's as is read."""

    def __init__(self, ann_file: str = "") -> None:
        self.ann_file = ann_file

    def __len__(self) -> int:
        return 1

    def get_data_info(self, index: int) -> dict:
        return dict(img_id=7, instances=[dict(bbox=[1, 1, 5, 5], bbox_label=1, ignore_flag=0)])


def test_areas_are_those_of_the_annotation_file(tmp_path) -> None:
    file = tmp_path / "coco.json"
    file.write_text('{"annotations": [{"image_id": 7, "bbox": [1, 1, 4, 4], "area": 9.5}]}')
    assert read_truth(DataSet(str(file)))[7].areas.tolist() == [9.5]
    assert read_truth(DataSet())[7].areas.tolist() == [16.0]


def test_a_picture_that_the_data_does_not_know_names_its_key() -> None:
    with pytest.raises(MMDistError, match="img_id = 3"):
        compare_detectors([([sample(3, found())],) * 2], NAMES, {0: objects()})
