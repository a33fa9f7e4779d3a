"""``AcclimationLoss`` on the levels of a pyramid."""

from __future__ import annotations

import pytest
import torch

from mmdist.models.losses import AcclimationLoss


def test_levels_are_summed_each_with_its_own_labels():
    loss = AcclimationLoss(num_classes=4, activation="sigmoid")
    levels = [(torch.randn(2, 12, size, size), torch.randn(2, 12, size, size)) for size in (4, 2)]
    labels = [torch.randint(0, 5, (2, 3 * size**2)) for size in (4, 2)]
    expected = sum(loss(*level, label.reshape(-1)) for level, label in zip(levels, labels, strict=True))
    assert expected > 0
    teachers, students = zip(*levels, strict=True)
    torch.testing.assert_close(loss(teachers, students, labels), expected)
    with pytest.raises(ValueError, match="gt_labels has 3 levels but the predictions have 2"):
        loss(teachers, students, [*labels, labels[0]])


def test_the_levels_of_both_sides_are_as_many():
    with pytest.raises(ValueError, match="preds_T has 1 levels but preds_S has 2"):
        AcclimationLoss()(torch.randn(4, 3), [torch.randn(4, 3)] * 2, torch.zeros(4, dtype=torch.long))
