"""Pixels: zones counted by brute force, IoU beside mmseg's own metric."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from mmengine.structures import PixelData
from mmseg.evaluation import IoUMetric
from mmseg.structures import SegDataSample
from torch import Tensor, nn

from mmdist.engine.gap.findings import Pair
from mmdist.engine.gap.segmentation import (
    boundary_zone,
    compare_segmenters,
    has_mask_scores,
    ignored_label,
    probabilities,
)
from mmdist.errors import MMDistError

NAMES = ["sky", "tree", "road"]


def sample(label: Tensor, predicted: Tensor, classes: int = 3) -> SegDataSample:
    """A prediction that is nearly sure."""
    made = SegDataSample()
    logits = 4.0 * nn.functional.one_hot(predicted.long(), classes).permute(2, 0, 1).float()
    made.gt_sem_seg = PixelData(data=label[None])
    made.pred_sem_seg = PixelData(data=predicted[None])
    made.seg_logits = PixelData(data=logits)
    return made


def maps(count: int, seed: int, side: int = 24) -> list[Tensor]:
    """Blocks of labels, with a row of ignored pixels."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.randint(0, 3, (count, side // 4, side // 4), generator=generator)
    labels = coarse.repeat_interleave(4, 1).repeat_interleave(4, 2)
    labels[:, 0] = 255
    return list(labels)


def compare(labels: list[Tensor], teacher: list[Tensor], student: list[Tensor], **options: int) -> object:
    batches = [([sample(y, t)], [sample(y, s)]) for y, t, s in zip(labels, teacher, student, strict=True)]
    return compare_segmenters(batches, NAMES, pictures=len(labels), **options)


def brute_force(label: np.ndarray, valid: np.ndarray, width: int) -> np.ndarray:
    """Distance of every pixel to every pixel that has another label beside it."""
    height, breadth = label.shape
    edge = []
    for y in range(height):
        for x in range(breadth):
            for v, u in ((y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1)):
                inside = 0 <= v < height and 0 <= u < breadth
                if inside and valid[y, x] and valid[v, u] and label[y, x] != label[v, u]:
                    edge.append((y, x))
    zone = np.zeros_like(valid)
    for y in range(height):
        for x in range(breadth):
            near = any((y - v) ** 2 + (x - u) ** 2 <= (width - 1) ** 2 for v, u in edge)
            zone[y, x] = valid[y, x] and near
    return zone


@pytest.mark.parametrize("width", [1, 2, 3, 5])
def test_the_zone_of_a_square_is_a_band_on_both_sides(width: int) -> None:
    label = torch.zeros(20, 20, dtype=torch.long)
    label[6:14, 6:14] = 1
    valid = torch.ones(20, 20, dtype=torch.bool)
    zone = boundary_zone(label, valid, width)
    assert np.array_equal(zone.numpy(), brute_force(label.numpy(), valid.numpy(), width))
    inner = max(0, 8 - 2 * width) ** 2
    assert int(zone[6:14, 6:14].sum()) == 64 - inner
    assert int(zone[:6, 10].sum()) == width


def test_the_zone_of_a_map_with_ignored_pixels_is_that_of_brute_force() -> None:
    label = maps(1, 5, 16)[0]
    valid = label != 255
    assert np.array_equal(boundary_zone(label, valid, 3).numpy(), brute_force(label.numpy(), valid.numpy(), 3))


def test_a_map_of_one_label_has_no_boundary_and_ignored_pixels_make_none() -> None:
    label = torch.zeros(6, 6, dtype=torch.long)
    label[2] = 255
    assert not boundary_zone(label, label != 255, 3).any()


def test_a_student_that_is_its_teacher_has_no_gap_in_any_class_or_zone() -> None:
    labels, predicted = maps(3, 0), [x.clamp(max=2) for x in maps(3, 1)]
    found = compare(labels, predicted, predicted)
    assert found.agreement["same_class"] == 1
    assert found.agreement["kl"] == pytest.approx(0, abs=1e-9)
    assert {c.scores.gap for c in found.classes} == {0}
    assert {pair.gap for part in found.parts.values() for pair in part.metrics.values()} == {0}
    assert sum(part.support for part in found.parts.values()) == found.count == 3 * 23 * 24


def test_iou_is_that_of_mmseg() -> None:
    labels, predicted = maps(4, 2), [x.clamp(max=2) for x in maps(4, 3)]
    found = compare(labels, labels_as_predictions(labels), predicted)
    areas = zip(
        *(IoUMetric.intersect_and_union(p, y, 3, 255) for p, y in zip(predicted, labels, strict=True)), strict=True
    )
    totals = [sum(area) for area in areas]
    expected = IoUMetric.total_area_to_metrics(*totals)
    by_name = {c.name: c.scores.student for c in found.classes}
    assert [by_name[name] for name in NAMES] == pytest.approx(expected["IoU"].tolist())
    assert found.overall["mIoU"].student == pytest.approx(expected["IoU"].mean())
    assert found.overall["accuracy"].student == pytest.approx(float(expected["aAcc"]))
    assert found.overall["mIoU"].teacher == 1


def labels_as_predictions(labels: list[Tensor]) -> list[Tensor]:
    return [torch.where(label == 255, 0, label) for label in labels]


def test_a_student_that_misses_the_edges_alone_has_its_gap_there() -> None:
    label = torch.zeros(24, 24, dtype=torch.long)
    label[:, 12:] = 1
    blurred = torch.zeros(24, 24, dtype=torch.long)
    blurred[:, 13:] = 1
    found = compare([label], [label], [blurred], boundary=2)
    assert found.parts["boundary"].support == 4 * 24
    assert found.parts["boundary"].metrics["accuracy"] == Pair(1.0, 0.75)
    assert found.parts["interior"].metrics["accuracy"] == Pair(1.0, 1.0)
    assert found.agreement["teacher_alone_right"] == pytest.approx(1 / 24)


def test_a_class_that_nobody_sees_or_labels_has_no_score() -> None:
    label = torch.zeros(8, 8, dtype=torch.long)
    found = compare([label], [label], [label])
    assert (found.classes[0].name, found.classes[0].scores.student) == ("sky", 1.0)
    assert {c.scores.student for c in found.classes[1:]} == {None}
    assert list(found.parts) == ["interior"]


def test_one_map_for_two_classes_is_a_probability() -> None:
    p = probabilities(torch.tensor([[[0.2, 0.9]]]))
    assert p.shape == (2, 1, 2)
    assert torch.allclose(p.sum(0), torch.ones(1, 2))
    assert torch.allclose(
        probabilities(torch.tensor([[[1.0]], [[3.0]]]), mask_scores=True).flatten(), torch.tensor([0.25, 0.75])
    )


def test_heads_say_what_they_ignore_and_whether_they_classify_masks() -> None:
    class MaskFormerHead(nn.Module):
        pass

    class Own(MaskFormerHead):
        ignore_index = 7

    model = nn.Module()
    assert ignored_label(model) == 255 and not has_mask_scores(model)
    model.decode_head = Own()
    assert ignored_label(model) == 7 and has_mask_scores(model)
    model.decode_head = nn.ModuleList([nn.Module(), Own()])
    assert ignored_label(model) == 7


def test_pictures_without_labels_or_of_another_size_say_what_the_pipeline_lacks() -> None:
    label = torch.zeros(4, 4, dtype=torch.long)
    with pytest.raises(MMDistError, match="LoadAnnotations"):
        made = sample(label, label)
        del made.gt_sem_seg
        compare_segmenters([([made], [made])], NAMES, pictures=1)
    with pytest.raises(MMDistError, match="after it has resized"):
        compare([label[:2]], [label], [label])
