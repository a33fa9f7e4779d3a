"""Agreement of two classifiers, and what their confidence is worth, against formulas written down here."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.stats import entropy
from torchmetrics.functional.classification import multiclass_calibration_error

from mmdist.engine.gap.agreement import Comparison, top_overlap
from mmdist.engine.gap.calibration import PixelSample, calibration
from mmdist.engine.gap.classification import compare_classifiers
from mmdist.engine.gap.findings import Pair
from mmdist.errors import MMDistError


def scores(count: int, classes: int, seed: int) -> torch.Tensor:
    return torch.randn(count, classes, generator=torch.Generator().manual_seed(seed)).mul(2).softmax(1)


def compared(labels: torch.Tensor, teacher: torch.Tensor, student: torch.Tensor, steps: int = 1) -> Comparison:
    both = Comparison(teacher.shape[1], PixelSample(1 << 62))
    for part in zip(*(x.chunk(steps) for x in (labels, teacher, student)), strict=True):
        both.update(*part)
    return both


def test_a_student_that_is_its_teacher_agrees_with_it_and_has_no_gap() -> None:
    labels, p = torch.arange(7).repeat(3), scores(21, 7, 0)
    both = compared(labels, p, p)
    found = both.agreement()
    assert found["same_class"] == found["top5_overlap"] == 1
    assert found["kl"] == pytest.approx(0, abs=1e-12)
    assert found["teacher_alone_right"] == found["student_alone_right"] == 0
    assert both.accuracy().gap == 0
    assert both.calibrations()["teacher"] == both.calibrations()["student"]


def test_who_is_right_is_counted_for_every_sample() -> None:
    labels = torch.tensor([0, 1, 2, 0])
    teacher = torch.eye(3)[torch.tensor([0, 1, 1, 1])]
    student = torch.eye(3)[torch.tensor([0, 0, 2, 1])]
    found = compared(labels, teacher, student).agreement()
    assert found["same_class"] == 0.5
    assert [found[key] for key in ("both_right", "teacher_alone_right", "student_alone_right", "both_wrong")] == [
        0.25,
        0.25,
        0.25,
        0.25,
    ]


def test_the_divergence_is_that_of_scipy_and_batches_do_not_matter() -> None:
    labels, p, q = torch.arange(40) % 6, scores(40, 6, 1), scores(40, 6, 2)
    whole, parts = compared(labels, p, q), compared(labels, p, q, steps=5)
    expected = entropy(p.double().numpy(), q.double().numpy(), axis=1).mean()
    assert whole.agreement()["kl"] == pytest.approx(expected, rel=1e-6)
    assert parts.agreement() == pytest.approx(whole.agreement())
    assert torch.equal(parts.confusion["student"], whole.confusion["student"])


def test_a_probability_of_zero_gives_a_large_divergence_and_no_infinity() -> None:
    p, q = torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 1.0]])
    assert 20 < compared(torch.tensor([0]), p, q).agreement()["kl"] < 30


def test_the_overlap_counts_classes_whatever_their_order() -> None:
    teacher = torch.tensor([[6.0, 5.0, 4.0, 3.0, 2.0, 1.0, 0.0]])
    student = torch.tensor([[2.0, 3.0, 4.0, 5.0, 0.0, 1.0, 6.0]])  # the last is new, the fifth is gone
    assert top_overlap(teacher, student).tolist() == pytest.approx([0.8])


def test_models_and_data_of_different_classes_cannot_be_compared() -> None:
    with pytest.raises(MMDistError, match="the teacher tells 3 classes apart, the student 2, and the data has 3"):
        compared(torch.tensor([0]), torch.ones(1, 3), torch.ones(1, 2))


def test_the_calibration_error_is_that_of_torchmetrics_for_many_classes() -> None:
    p, labels = scores(500, 5, 3), torch.randint(0, 5, (500,), generator=torch.Generator().manual_seed(0))
    found = calibration(p.max(1).values, p.argmax(1) == labels)
    expected = multiclass_calibration_error(p, labels, num_classes=5, n_bins=15)
    assert found.error == pytest.approx(float(expected), abs=1e-5)
    assert sum(entry.count for entry in found.bins) == 500
    again = sum(b.count * abs(b.confidence - b.correct) for b in found.bins) / 500
    assert again == pytest.approx(found.error, abs=1e-6)


def test_a_model_that_is_always_right_and_half_sure_is_too_unsure() -> None:
    found = calibration(torch.full((8,), 0.5), torch.ones(8, dtype=torch.bool))
    assert (found.error, found.excess) == (0.5, -0.5)


def test_no_predictions_have_no_calibration() -> None:
    found = calibration(torch.zeros(0), torch.zeros(0, dtype=torch.bool))
    assert found.error is None and found.bins == [] and found.excess is None


def test_the_choice_of_pixels_is_the_same_in_every_run_and_without_repetition() -> None:
    first, second = PixelSample(50).choose(1000), PixelSample(50).choose(1000)
    assert torch.equal(first, second)
    assert len(set(first.tolist())) == 50


class Sample(dict):
    """As much of a data sample as is read."""

    def __getattr__(self, name: str) -> torch.Tensor:
        return self[name]


def samples(p: torch.Tensor, labels: list[int]) -> list[Sample]:
    return [Sample(pred_score=row, gt_label=torch.tensor([label])) for row, label in zip(p, labels, strict=True)]


def test_classes_are_sorted_by_gap_and_one_without_pictures_comes_last() -> None:
    labels = [0, 0, 1, 1]
    teacher = samples(torch.eye(3)[[0, 0, 1, 1]], labels)
    student = samples(torch.eye(3)[[0, 0, 1, 0]], labels)
    found = compare_classifiers([(teacher, student)], ["a", "b", "c"])
    assert [(c.name, c.scores, c.support) for c in found.classes] == [
        ("b", Pair(1.0, 0.5), 2),
        ("a", Pair(1.0, 1.0), 2),
        ("c", Pair(None, None), 0),
    ]
    assert found.overall == {"accuracy": Pair(1.0, 0.75)}
    assert found.count == 4


def test_pictures_with_several_labels_or_none_are_refused() -> None:
    sample = Sample(pred_score=torch.ones(3), gt_label=torch.tensor([0, 1]))
    with pytest.raises(MMDistError, match="several labels"):
        compare_classifiers([([sample], [sample])], None)
    with pytest.raises(MMDistError, match="without gt_label"):
        compare_classifiers([([Sample(pred_score=torch.ones(3))],) * 2], None)
    with pytest.raises(MMDistError, match="no pictures"):
        compare_classifiers([], None)


def test_means_of_nothing_are_no_numbers_in_json() -> None:
    found = compare_classifiers([(samples(torch.eye(2), [0, 1]),) * 2], None).as_dict()
    assert not any(isinstance(value, float) and np.isnan(value) for value in found["agreement"].values())
    assert [c["name"] for c in found["classes"]] == ["0", "1"]
