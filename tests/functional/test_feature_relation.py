"""DIST+: channel and spatial relations, and the acclimation of the teacher, against their definitions."""

from __future__ import annotations

import pytest
import torch
from helpers.tensors import pair, rows_of
from references import dist as reference

from mmdist.functional import acclimation_loss, channel_relation_loss, spatial_relation_loss

pytestmark = pytest.mark.usefixtures("form")  # every promise holds for both forms


def spatial_reference(student: torch.Tensor, teacher: torch.Tensor, mask: torch.Tensor | None = None) -> float:
    """Each image's sum over the channels, correlated over the positions that count."""
    distances = []
    for n in range(student.shape[0]):
        keep = torch.ones(student.shape[2:], dtype=torch.bool) if mask is None else mask[n]
        if keep.any():
            sums = [x[n].double().sum(0)[keep].tolist() for x in (student.detach(), teacher)]
            distances.append(1 - reference.correlation(*sums))
    return sum(distances) / len(distances)


def test_channel_relations_are_those_of_the_definition():
    student, teacher = pair(2, 6, 3, 4)
    value = channel_relation_loss(student, teacher)
    assert value.item() == pytest.approx(reference.channel_relation(rows_of(student), rows_of(teacher)), rel=1e-9)


def test_channel_relations_of_weighted_positions():
    student, teacher = pair(2, 6, 3, 4)
    weight, mask = torch.rand(2, 3, 4, dtype=torch.float64), torch.rand(2, 3, 4) > 0.4
    w = (weight * mask).flatten().tolist()
    distances = [1 - reference.correlation(u, v) for u, v in zip(rows_of(student), rows_of(teacher), strict=True)]
    expected = sum(a * b for a, b in zip(w, distances, strict=True)) / sum(w)
    assert channel_relation_loss(student, teacher, mask=mask, weight=weight).item() == pytest.approx(expected, rel=1e-9)


def test_channel_relations_ignore_scale_and_offset_at_each_position():
    student, teacher = pair(2, 6, 3, 4)
    changed = student * (torch.rand(2, 1, 3, 4) + 0.5) + torch.randn(2, 1, 3, 4)
    torch.testing.assert_close(channel_relation_loss(changed, teacher), channel_relation_loss(student, teacher))


def test_spatial_relations_are_those_of_the_definition():
    student, teacher = pair(3, 6, 3, 4)
    expected = spatial_reference(student, teacher)
    assert spatial_relation_loss(student, teacher).item() == pytest.approx(expected, rel=1e-9)


def test_spatial_relations_leave_out_what_is_masked_and_images_without_anything():
    student, teacher = pair(3, 6, 3, 4)
    mask = torch.rand(3, 3, 4) > 0.4
    mask[1] = False
    poisoned = student.detach().masked_fill(~mask.unsqueeze(1), float("nan")).requires_grad_()
    value = spatial_relation_loss(poisoned, teacher, mask=mask)
    value.backward()
    assert value.item() == pytest.approx(spatial_reference(student, teacher, mask), rel=1e-9)
    assert poisoned.grad.isfinite().all()


def test_spatial_relations_ignore_scale_and_offset_of_each_image():
    student, teacher = pair(3, 6, 3, 4)
    changed = student * (torch.rand(3, 1, 1, 1) + 0.5) + torch.randn(3, 1, 1, 1)
    torch.testing.assert_close(spatial_relation_loss(changed, teacher), spatial_relation_loss(student, teacher))


@pytest.mark.parametrize("shape", [(5, 4), (2, 4, 3, 2)])
@pytest.mark.parametrize("tau", [1.0, 4.0])
def test_acclimation_is_that_of_the_definition(shape, tau):
    teacher, student = pair(*shape)
    target = torch.randint(0, 4, (shape[0], *shape[2:]))
    value = acclimation_loss(teacher, student, target, tau=tau)
    expected = reference.acclimation(rows_of(teacher), rows_of(student), target.flatten().tolist(), tau)
    assert value.item() == pytest.approx(expected, rel=1e-9)


def test_acclimation_trains_the_teacher_and_never_the_student():
    teacher, student = pair(5, 4)
    student.requires_grad_()
    acclimation_loss(teacher, student, torch.arange(5) % 4).backward()
    assert student.grad is None
    assert teacher.grad.abs().sum() > 0


def test_acclimation_leaves_out_ignored_labels():
    teacher, student = pair(2, 4, 3)
    target = torch.randint(0, 4, (2, 3))
    mask = torch.tensor([[True, False, True], [False, True, True]])
    rows = [x.detach().movedim(1, -1)[mask] for x in (teacher, student)]
    expected = acclimation_loss(*rows, target[mask])
    torch.testing.assert_close(acclimation_loss(teacher, student, target.masked_fill(~mask, 255), mask=mask), expected)


@pytest.mark.parametrize("loss", [channel_relation_loss, spatial_relation_loss])
def test_gradcheck_of_the_feature_relations(loss):
    student, teacher = pair(2, 3, 2, 2)
    mask = torch.tensor([[[True, False], [True, True]], [[True, True], [True, True]]])
    for kwargs in ({}, {"mask": mask}):
        assert torch.autograd.gradcheck(lambda s, kwargs=kwargs: loss(s, teacher, **kwargs), (student,))


def test_gradcheck_of_the_acclimation():
    teacher, student = pair(3, 4, 2)
    target = torch.randint(0, 4, (3, 2))
    assert torch.autograd.gradcheck(lambda t: acclimation_loss(t, student, target, tau=2.0), (teacher,))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
@pytest.mark.parametrize("kind", ["dead student", "dead teacher", "one channel", "one position", "huge", "none counts"])
def test_values_and_gradients_are_always_finite(kind, dtype):
    shape = {"one channel": (2, 1, 3, 3), "one position": (2, 4, 1, 1)}.get(kind, (2, 4, 3, 3))
    student, teacher = pair(*shape, dtype=dtype)
    student = student.detach()
    if kind == "dead student":
        student = torch.zeros_like(student)
    elif kind == "dead teacher":
        teacher = torch.zeros_like(teacher)
    elif kind == "huge":
        student, teacher = student.sign() * 1e4, teacher.sign() * 1e4
    mask = torch.full((2, *shape[2:]), kind != "none counts")
    target = torch.zeros(2, *shape[2:], dtype=torch.long)
    for loss in (
        lambda s: channel_relation_loss(s, teacher, mask=mask),
        lambda s: spatial_relation_loss(s, teacher, mask=mask),
        lambda s: acclimation_loss(s, teacher, target, mask=mask),
    ):
        leaf = student.clone().requires_grad_()
        value = loss(leaf)
        value.backward()
        assert value.isfinite()
        assert leaf.grad.isfinite().all()
        assert value.item() == 0 or kind != "none counts"


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda x: channel_relation_loss(x, x[:1]), ValueError, "feat_s and feat_t must have one shape"),
        (lambda x: spatial_relation_loss(x.long(), x), TypeError, "feat_s must be of a floating-point dtype"),
        (lambda x: acclimation_loss(x, x, torch.zeros(2, 3)), TypeError, "target must be integers"),
        (lambda x: acclimation_loss(x, x, torch.zeros(2, dtype=torch.long)), ValueError, r"= \(2, 3\), got \(2,\)"),
        (lambda x: acclimation_loss(x, x, torch.full((2, 3), 4)), ValueError, r"target must be in \[0, 4\)"),
        (lambda x: acclimation_loss(x, x, torch.zeros(2, 3).long(), tau=0), ValueError, "tau = 0"),
    ],
)
def test_a_wrong_argument_is_named(call, error, message):
    with pytest.raises(error, match=message):
        call(torch.randn(2, 4, 3))


@pytest.mark.parametrize("loss", [channel_relation_loss, spatial_relation_loss])
@pytest.mark.parametrize("shape", [(0, 5, 4, 4), (2, 5, 0, 4), (0, 5)])
def test_no_image_or_no_position_gives_0_and_a_gradient(loss, shape):
    student = torch.zeros(shape, requires_grad=True)
    value = loss(student, torch.zeros(shape))
    value.backward()
    assert value == 0 and student.grad.shape == shape


def test_spatial_relations_of_rows_take_a_mask():
    student, teacher = torch.randn(4, 5), torch.randn(4, 5)
    assert spatial_relation_loss(student, teacher, mask=torch.ones(4, dtype=torch.bool)) == 1  # one position each


def test_the_feature_relations_have_second_derivatives():
    student, teacher = (torch.randn(2, 3, 4, dtype=torch.double) for _ in range(2))
    student.requires_grad_()
    assert torch.autograd.gradgradcheck(lambda maps: spatial_relation_loss(maps, teacher), student)
    target = torch.randint(0, 3, (2, 4))
    assert torch.autograd.gradgradcheck(lambda maps: acclimation_loss(maps, teacher, target), student)
