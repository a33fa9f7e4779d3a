"""A loss over two parts of a batch is that of the one batch which both are, whatever their sizes."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from mmengine.registry import MODELS
from mmrazor.models.losses import L2Loss
from torch import Tensor, nn

from mmdist.functional import channel_relation_loss, dist_loss, kd_loss, sdd_loss, spatial_relation_loss
from mmdist.models.losses import DISTLoss, KDLoss, SpatialRelationLoss
from mmdist.models.losses.joint import Part, joint_loss, needs_labels, unlabeled_loss

CLASSES = 5
SIZES = [((3, 6, 7), (2, 6, 7)), ((3, 6, 7), (2, 4, 9))]  # images, height, width of the two parts
EVERY_SIZE = pytest.mark.parametrize("sizes", SIZES, ids=["one size", "two sizes"])


def maps(size: tuple[int, ...], seed: int) -> tuple[Tensor, Tensor]:
    numbers = torch.Generator().manual_seed(seed)
    shape = (size[0], CLASSES, *size[1:])
    student, teacher = (torch.randn(shape, generator=numbers, dtype=torch.float64) for _ in range(2))
    return student.requires_grad_(), teacher


def rows(*levels: Tensor) -> Tensor:
    """One row a position."""
    return torch.cat([level.movedim(1, -1).reshape(-1, level.shape[1]) for level in levels])


def part(pair: tuple, names: tuple[str, str], labels: Any = None, content: Tensor | None = None) -> Part:
    arguments = dict(zip(names, pair, strict=True))
    images = len(pair[0]) if isinstance(pair[0], Tensor) else len(pair[0][0])
    return Part(arguments if labels is None else {**arguments, "gt_labels": labels}, images, content)


def assert_same(found: Tensor, expected: Tensor, *inputs: Tensor) -> None:
    """Value and gradient."""
    torch.testing.assert_close(found, expected)
    gradients = (torch.autograd.grad(value, inputs, retain_graph=True) for value in (found, expected))
    for one, other in zip(*gradients, strict=True):
        torch.testing.assert_close(one, other)


POSITIONS = {
    "mmdist.DISTLoss": (("logits_S", "logits_T"), dist_loss),
    "mmdist.KDLoss": (("preds_S", "preds_T"), kd_loss),
    "mmdist.ChannelRelationLoss": (("preds_S", "preds_T"), channel_relation_loss),
}


@EVERY_SIZE
@pytest.mark.parametrize("name", POSITIONS)
def test_every_position_of_both_parts_counts_alike(name: str, sizes: tuple) -> None:
    names, function = POSITIONS[name]
    a, b = (maps(size, seed) for seed, size in enumerate(sizes))
    found = joint_loss(MODELS.build(dict(type=name)), part(a, names), part(b, names))
    assert_same(found, function(rows(a[0], b[0]), rows(a[1], b[1])), a[0], b[0])


@EVERY_SIZE
@pytest.mark.parametrize("name", POSITIONS)
@pytest.mark.parametrize("ignore_index", [None, 0])
def test_labels_leave_out_ignored_pixels_and_the_border_of_unlabelled_images(
    name: str, sizes: tuple, ignore_index: int | None
) -> None:
    names, function = POSITIONS[name]
    ignored = 255 if ignore_index is None else ignore_index
    a, b = (maps(size, seed) for seed, size in enumerate(sizes))
    labels = torch.randint(1, CLASSES, sizes[0])
    labels[:, :2] = ignored
    inside = torch.ones(sizes[1], dtype=torch.bool)
    inside[0, :, 5:] = False
    nothing = torch.full(sizes[1], ignored)  # all ignored, as for the task loss
    found = joint_loss(
        MODELS.build(dict(type=name, ignore_index=ignore_index)),
        part(a, names, labels),
        part(b, names, nothing, inside),
    )
    keep = torch.cat([(labels != ignored).flatten(), inside.flatten()])
    expected = function(rows(a[0], b[0])[keep], rows(a[1], b[1])[keep])
    assert_same(found, expected, a[0], b[0])


@EVERY_SIZE
def test_relations_over_the_positions_of_an_image_are_averaged_over_all_images(sizes: tuple) -> None:
    a, b = (maps(size, seed) for seed, size in enumerate(sizes))
    names = ("preds_S", "preds_T")
    found = joint_loss(SpatialRelationLoss(), part(a, names), part(b, names))
    one_by_one = [spatial_relation_loss(s[None], t[None]) for pair in (a, b) for s, t in zip(*pair, strict=True)]
    assert_same(found, torch.stack(one_by_one).mean(), a[0], b[0])


def test_the_levels_of_a_pyramid_are_joined_one_by_one() -> None:
    names = ("logits_S", "logits_T")
    levels = [[maps((images, side, side + grow), side) for side in (8, 4)] for images, grow in ((3, 0), (2, 1))]
    parts = [part(tuple(zip(*level, strict=True)), names) for level in levels]
    found = joint_loss(DISTLoss(), *parts)
    expected = sum(
        dist_loss(rows(levels[0][i][0], levels[1][i][0]), rows(levels[0][i][1], levels[1][i][1])) for i in range(2)
    )
    assert_same(found, expected, levels[0][0][0], levels[1][1][0])


def test_one_level_may_be_of_one_size_and_another_not() -> None:
    names = ("logits_S", "logits_T")
    levels = [
        [maps((2, *size), side) for side, size in enumerate(sizes)] for sizes in (((4, 4), (2, 2)), ((4, 4), (3, 2)))
    ]
    found = joint_loss(DISTLoss(), *(part(tuple(zip(*level, strict=True)), names) for level in levels))
    expected = sum(
        dist_loss(rows(levels[0][i][0], levels[1][i][0]), rows(levels[0][i][1], levels[1][i][1])) for i in range(2)
    )
    assert_same(found, expected, levels[0][0][0])


def test_anchors_of_maps_of_two_sizes_count_alike() -> None:
    names = ("preds_S", "preds_T")
    student, teacher = (torch.randn(2, 3 * CLASSES, 4, 4, requires_grad=side) for side in (True, False))
    others = torch.randn(1, 3 * CLASSES, 2, 5, requires_grad=True), torch.randn(1, 3 * CLASSES, 2, 5)
    labels = [torch.full((maps.numel() // CLASSES,), CLASSES) for maps in (student, others[0])]  # background
    for given in (None, labels):
        parts = [part(pair, names, given and given[i]) for i, pair in enumerate(((student, teacher), others))]
        found = joint_loss(KDLoss(num_classes=CLASSES, activation="sigmoid"), *parts)
        flat = [
            torch.cat([x.permute(0, 2, 3, 1).reshape(-1, CLASSES) for x in pair])
            for pair in ((student, others[0]), (teacher, others[1]))
        ]
        assert_same(found, kd_loss(*flat, activation="sigmoid"), student, others[0])


@pytest.mark.parametrize("kind", ["image", "map", "none"])
def test_regions_that_are_split_by_agreement_are_those_of_one_batch(kind: str) -> None:
    names = ("preds_S", "preds_T")
    loss = MODELS.build(dict(type="mmdist.SDDLoss", split="agreement", scales=(1, 2, 4)))
    assert not needs_labels(loss, {})
    a, b = maps((3, 21), 0), maps((2, 21), 1)
    labels = dict(image=torch.randint(0, CLASSES, (3,)), map=torch.randint(0, CLASSES, (3, 16, 16)), none=None)[kind]
    nothing = dict(image=torch.zeros(2, dtype=torch.long), map=torch.full((2, 8, 16), 255), none=None)[kind]
    inside = torch.ones(2, 8, 16, dtype=torch.bool)
    found = joint_loss(loss, part(a, names, labels), part(b, names, nothing, inside))
    assert_same(found, sdd_loss(torch.cat([a[0], b[0]]), torch.cat([a[1], b[1]]), None, split="agreement"), a[0], b[0])


def test_soft_labels_leave_nothing_out() -> None:
    names = ("preds_S", "preds_T")
    a, b = maps((3,), 0), maps((2,), 1)
    soft = [x.detach().softmax(1) for x in (a[0], b[0])]
    found = joint_loss(KDLoss(), part(a, names, soft[0]), part(b, names, soft[1]))
    assert_same(found, kd_loss(torch.cat([a[0], b[0]]), torch.cat([a[1], b[1]])), a[0], b[0])


def test_losses_of_others_get_one_batch_where_the_records_are_of_one_size() -> None:
    names = ("s_feature", "t_feature")
    a, b = maps((3, 6, 7), 0), maps((2, 6, 7), 1)
    found = joint_loss(L2Loss(normalize=False, mult=1.0), part(a, names), part(b, names))
    expected = L2Loss(normalize=False, mult=1.0)(torch.cat([a[0], b[0]]), torch.cat([a[1], b[1]]))
    assert_same(found, expected, a[0], b[0])


def test_losses_of_others_count_by_images_where_they_are_not() -> None:
    class Mean(nn.Module):
        def forward(self, s: Tensor, t: list[Tensor]) -> Tensor:
            return (s - t[0]).abs().mean()

    a, b = maps((3, 6, 7), 0), maps((2, 4, 9), 1)
    parts = [Part(dict(s=student, t=[teacher]), len(student)) for student, teacher in (a, b)]
    expected = (3 * (a[0] - a[1]).abs().mean() + 2 * (b[0] - b[1]).abs().mean()) / 5
    assert_same(joint_loss(Mean(), *parts), expected, a[0], b[0])


def test_unlabelled_images_alone_count_with_all_their_pixels() -> None:
    names = ("preds_S", "preds_T")
    pair, inside = maps((2, 4, 9), 1), torch.ones(2, 4, 9, dtype=torch.bool)
    inside[1, 3:] = False
    found = unlabeled_loss(KDLoss(), part(pair, names, torch.full((2, 4, 9), 255), inside))
    assert_same(found, kd_loss(*pair, mask=inside), pair[0])


@pytest.mark.parametrize("name", ["DKDLoss", "NKDLoss", "DCKDLoss", "AcclimationLoss", "SDDLoss"])
def test_losses_that_need_labels_say_so(name: str) -> None:
    assert needs_labels(MODELS.build(dict(type=f"mmdist.{name}")), {})
    base = dict(type="mmdist.DKDLoss")
    assert needs_labels(MODELS.build(dict(type="mmdist.SDDLoss", split="agreement", base=base)), {})
    assert needs_labels(L2Loss(), dict(gt_labels=None))
    assert not needs_labels(L2Loss(), dict(s_feature=None))
