"""``mmdist.DISTLoss``: MMRazor's loss where that is right, the definition where it is not."""

from __future__ import annotations

import pytest
import torch
from mmengine.registry import MODELS as ROOT_MODELS
from mmrazor.models.losses import DISTLoss as RazorDISTLoss

from mmdist.functional import dist_loss
from mmdist.models.losses import DISTLoss
from mmdist.models.losses import dist_loss as module


def maps(*shape: int) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.randn(*shape), torch.randn(*shape)


@pytest.mark.parametrize("scope", ["mmengine", "mmdet", "mmseg", "mmpretrain", "mmrazor"])
def test_every_librarys_registry_finds_it_by_its_prefixed_name(scope):
    from importlib import import_module

    models = ROOT_MODELS if scope == "mmengine" else import_module(f"{scope}.registry").MODELS
    assert type(models.build(dict(type="mmdist.DISTLoss", tau=2.0))) is DISTLoss


def test_equals_mmrazors_loss_on_rows_of_logits():
    student, teacher = maps(8, 5)
    arguments = dict(inter_loss_weight=2.0, intra_loss_weight=0.5, tau=4.0, loss_weight=3.0)
    torch.testing.assert_close(DISTLoss(**arguments)(student, teacher), RazorDISTLoss(**arguments)(student, teacher))


def test_differs_from_mmrazors_loss_on_maps_which_correlates_over_the_batch_alone():
    student, teacher = maps(4, 5, 6, 6)
    rows = [x.movedim(1, -1).reshape(-1, 5) for x in (student, teacher)]
    expected = RazorDISTLoss()(*rows)
    torch.testing.assert_close(DISTLoss()(student, teacher), expected)
    assert abs(RazorDISTLoss()(student, teacher) - expected) > 0.05


def test_hands_its_hyper_parameters_to_the_function():
    student, teacher = maps(6, 4)
    loss = DISTLoss(0.5, 2.0, tau=3.0, loss_weight=1.5, tau_squared=False, activation="sigmoid", guard_rel=0.0)
    arguments = dict(inter_weight=0.5, intra_weight=2.0, tau=3.0, tau_squared=False, activation="sigmoid", guard_rel=0)
    expected = 1.5 * dist_loss(student, teacher, **arguments)
    torch.testing.assert_close(loss(student, teacher), expected)


@pytest.mark.parametrize("container", [tuple, list])
def test_feature_levels_are_summed(container):
    levels = [maps(2, 5, size, size) for size in (8, 4, 2)]
    students, teachers = (container(side) for side in zip(*levels, strict=True))
    torch.testing.assert_close(DISTLoss()(students, teachers), sum(dist_loss(s, t) for s, t in levels))


def test_ignored_pixels_do_not_count():
    student, teacher = maps(2, 5, 4, 4)
    labels = torch.randint(0, 5, (2, 4, 4))
    labels[0, :2] = 255
    rows = [x.movedim(1, -1)[labels != 255] for x in (student, teacher)]
    torch.testing.assert_close(DISTLoss()(student, teacher, labels), dist_loss(*rows))
    torch.testing.assert_close(DISTLoss()(student, teacher, labels.unsqueeze(1)), dist_loss(*rows))


def test_another_ignore_index_can_be_chosen():
    student, teacher = maps(2, 5, 4, 4)
    labels = torch.randint(0, 5, (2, 4, 4))
    changed = labels.clone()
    labels[1], changed[1] = 255, -1
    torch.testing.assert_close(
        DISTLoss()(student, teacher, labels), DISTLoss(ignore_index=-1)(student, teacher, changed)
    )


def test_labels_larger_than_the_logits_are_taken_at_the_nearest_pixel():
    student, teacher = maps(1, 3, 2, 2)
    labels = torch.zeros(1, 8, 8, dtype=torch.long)
    labels[:, :4, :4] = 255  # the upper left quarter: one of the four logits
    keep = torch.tensor([[[False, True], [True, True]]])
    torch.testing.assert_close(DISTLoss()(student, teacher, labels), dist_loss(student, teacher, mask=keep))


def test_labels_that_are_all_ignored_give_zero():
    student, teacher = maps(2, 5, 4, 4)
    student.requires_grad_()
    loss = DISTLoss()(student, teacher, torch.full((2, 4, 4), 255))
    loss.backward()
    assert loss.item() == 0
    assert (student.grad == 0).all()


def test_a_teacher_that_went_wrong_is_reported_and_not_trained_on():
    student, teacher = maps(2, 5)
    teacher[0, 0] = float("nan")
    with pytest.raises(FloatingPointError, match=r"logits_T .* NaN or infinity: check its checkpoint"):
        DISTLoss()(student, teacher)


def test_a_student_that_overflows_is_left_to_the_gradient_scaler():
    student, teacher = maps(2, 5)
    student[0, 0] = float("inf")
    assert not DISTLoss()(student, teacher).isfinite()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (dict(tau=0), r"DISTLoss.tau = 0: expected a finite number above 0"),
        (dict(activation="softmaks"), r"DISTLoss.activation = 'softmaks': did you mean 'softmax'"),
        (dict(loss_weight=float("nan")), r"DISTLoss.loss_weight = nan"),
        (dict(teacher_detach=False), r"DISTLoss.teacher_detach = False"),
    ],
)
def test_a_wrong_hyper_parameter_is_refused_when_it_is_built(arguments, message):
    with pytest.raises(ValueError, match=message):
        DISTLoss(**arguments)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        ((maps(2, 5)[0], [1.0]), TypeError, r"logits_T must be a tensor or a tuple of tensors"),
        (((maps(2, 5)[0],) * 2, maps(2, 5)[0]), ValueError, r"logits_S has 2 levels but logits_T has 1"),
        ((*maps(2, 5, 4, 4), torch.zeros(3, 4, 4, dtype=torch.long)), ValueError, "gt_labels has 3 samples"),
        ((*maps(2, 5, 4, 4), torch.zeros(2, 4, 4)), TypeError, "labels must be integers"),
        ((*maps(2, 5, 4, 4), torch.zeros(2, dtype=torch.long)), ValueError, "2 spatial dimensions"),
        ((*maps(2, 5, 4, 4), [0, 1]), TypeError, "gt_labels must be a tensor of integers, got list"),
    ],
)
def test_a_wrong_input_is_named(call, error, message):
    with pytest.raises(error, match=message):
        DISTLoss()(*call)


def test_few_samples_are_warned_of_once(monkeypatch):
    said = []
    monkeypatch.setattr(module, "_said", set())
    monkeypatch.setattr(module, "print_log", lambda text, *args: said.append(text))
    for samples in (8, 4, 2):
        DISTLoss()(torch.randn(samples, 5), torch.randn(samples, 5))
        DISTLoss(intra_loss_weight=0)(torch.randn(1, 5), torch.randn(1, 5))
    assert len(said) == 1 and "there are 4" in said[0]
    DISTLoss()(torch.randn(1, 5, 4, 4), torch.randn(1, 5, 4, 4))  # pixels are samples
    assert len(said) == 1
