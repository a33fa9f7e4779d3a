"""``mmdist.ChannelRelationLoss`` and ``mmdist.SpatialRelationLoss``."""

from __future__ import annotations

import pytest
import torch
from mmengine.registry import MODELS

from mmdist.functional import channel_relation_loss, spatial_relation_loss

BOTH = pytest.mark.parametrize(
    ("name", "function"),
    [("ChannelRelationLoss", channel_relation_loss), ("SpatialRelationLoss", spatial_relation_loss)],
)


def maps(*sizes: int) -> tuple[tuple[torch.Tensor, ...], tuple[torch.Tensor, ...]]:
    return tuple(tuple(torch.randn(2, 5, size, size) for size in sizes) for _ in range(2))


@BOTH
def test_levels_are_summed_and_weighted(name, function):
    students, teachers = maps(8, 4)
    loss = MODELS.build(dict(type=f"mmdist.{name}", loss_weight=3.0))
    expected = 3 * sum(function(s, t) for s, t in zip(students, teachers, strict=True))
    torch.testing.assert_close(loss(students, teachers), expected)
    torch.testing.assert_close(loss(students[0], teachers[0]), 3 * function(students[0], teachers[0]))


def test_the_spatial_relation_skips_levels_too_small_to_have_one():
    students, teachers = maps(4, 1)
    loss = MODELS.build(dict(type="mmdist.SpatialRelationLoss"))
    torch.testing.assert_close(loss(students, teachers), spatial_relation_loss(students[0], teachers[0]))
    assert loss(students[1], teachers[1]).item() == 0


@BOTH
def test_ignored_positions_do_not_count(name, function):
    students, teachers = maps(4)
    labels = torch.zeros(2, 8, 8, dtype=torch.long)
    labels[:, :4] = 255  # the upper half
    mask = torch.ones(2, 4, 4, dtype=torch.bool)
    mask[:, :2] = False
    loss = MODELS.build(dict(type=f"mmdist.{name}"))
    expected = function(students[0], teachers[0], mask=mask)
    torch.testing.assert_close(loss(students, teachers, labels), expected)


@BOTH
def test_a_teacher_that_went_wrong_is_reported(name, function):
    students, teachers = maps(4)
    teachers[0][0, 0] = float("nan")
    with pytest.raises(FloatingPointError, match="preds_T"):
        MODELS.build(dict(type=f"mmdist.{name}"))(students, teachers)


@BOTH
def test_a_negative_weight_is_refused(name, function):
    with pytest.raises(ValueError, match=rf"{name}.loss_weight = -1"):
        MODELS.build(dict(type=f"mmdist.{name}", loss_weight=-1))
