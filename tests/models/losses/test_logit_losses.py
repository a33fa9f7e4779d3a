"""``mmdist.KDLoss``, ``DKDLoss``, ``NKDLoss`` and ``DCKDLoss``: hyper-parameters, levels and labels."""

from __future__ import annotations

import pytest
import torch
from mmrazor.models.losses import DKDLoss as RazorDKDLoss
from mmrazor.models.losses import KLDivergence

from mmdist.functional import dckd_loss, dkd_loss, kd_loss, nkd_loss
from mmdist.models.losses import DCKDLoss, DKDLoss, KDLoss, NKDLoss

FUNCTIONS = {KDLoss: kd_loss, DKDLoss: dkd_loss, NKDLoss: nkd_loss, DCKDLoss: dckd_loss}
EVERY = pytest.mark.parametrize("kind", list(FUNCTIONS))
LABELLED = pytest.mark.parametrize("kind", [DKDLoss, NKDLoss, DCKDLoss])


def maps(*shape: int) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.randn(*shape), torch.randn(*shape)


def function(kind, student, teacher, target, **kwargs) -> torch.Tensor:
    return FUNCTIONS[kind](student, teacher, *(() if kind is KDLoss else (target,)), **kwargs)


@pytest.mark.parametrize(
    ("kind", "hyper"),
    [
        (KDLoss, dict(tau=3.0, activation="sigmoid")),
        (DKDLoss, dict(tau=2.0, alpha=0.5, beta=3.0)),
        (NKDLoss, dict(tau=2.0, gamma=4.0, legacy_mask=True)),
        (DCKDLoss, dict(tau=2.0, alpha=0.5, beta=3.0, target_reference="teacher", non_target="all")),
    ],
)
def test_hands_its_hyper_parameters_to_the_function(kind, hyper):
    student, teacher = maps(6, 4)
    labels = torch.randint(0, 4, (6,))
    expected = 1.5 * function(kind, student, teacher, labels, **hyper)
    assert torch.equal(kind(loss_weight=1.5, **hyper)(student, teacher, labels), expected)
    assert not torch.isclose(1.5 * kind()(student, teacher, labels), expected)


@EVERY
def test_has_the_defaults_of_the_function(kind):
    student, teacher = maps(6, 4)
    labels = torch.randint(0, 4, (6,))
    assert torch.equal(kind()(student, teacher, labels), function(kind, student, teacher, labels))


@pytest.mark.parametrize("reduction", ["mean", "batchmean"])
def test_equals_mmrazors_losses_divided_by_the_number_of_samples(reduction):
    student, teacher = maps(8, 5)
    labels = torch.randint(0, 5, (8,))
    hyper = dict(tau=2.0, alpha=0.5, beta=3.0, loss_weight=1.5)
    razor = RazorDKDLoss(reduction="batchmean", **hyper)(student, teacher, labels)
    torch.testing.assert_close(DKDLoss(reduction=reduction, **hyper)(student, teacher, labels), razor)
    divergence = KLDivergence(tau=2.0, reduction="batchmean", loss_weight=1.5)(student, teacher)
    torch.testing.assert_close(KDLoss(tau=2.0, reduction=reduction, loss_weight=1.5)(student, teacher), divergence)


def test_mmrazors_dkd_sums_over_the_batch_with_the_reduction_of_its_own_config():
    student, teacher = maps(8, 5)
    labels = torch.randint(0, 5, (8,))
    arguments = dict(tau=1, beta=0.5, loss_weight=1, reduction="mean")
    razor, ours = (kind(**arguments)(student, teacher, labels) for kind in (RazorDKDLoss, DKDLoss))
    torch.testing.assert_close(razor, 8 * ours)


def test_mmrazors_kl_of_maps_is_larger_by_the_number_of_pixels():
    student, teacher = maps(2, 5, 3, 4)
    torch.testing.assert_close(KLDivergence()(student, teacher), 12 * KDLoss()(student, teacher))


@EVERY
@pytest.mark.parametrize("container", [tuple, list])
def test_feature_levels_are_summed(kind, container):
    levels = [maps(2, 5, size, size) for size in (8, 4, 2)]
    labels = torch.randint(0, 5, (2, 8, 8))
    students, teachers = (container(side) for side in zip(*levels, strict=True))
    expected = sum(function(kind, s, t, labels[:, :: 8 // len(s[0, 0]), :: 8 // len(s[0, 0])]) for s, t in levels)
    torch.testing.assert_close(kind()(students, teachers, labels), expected)


@EVERY
@pytest.mark.parametrize("ignore_index", [255, -1])
def test_ignored_pixels_do_not_count(kind, ignore_index):
    student, teacher = maps(2, 5, 4, 4)
    labels = torch.randint(0, 5, (2, 4, 4))
    labels[0, :2] = ignore_index
    rows = [x.movedim(1, -1)[labels != ignore_index] for x in (student, teacher)]
    expected = function(kind, *rows, labels[labels != ignore_index])
    loss = kind(ignore_index=ignore_index)
    torch.testing.assert_close(loss(student, teacher, labels), expected)
    torch.testing.assert_close(loss(student, teacher, labels.unsqueeze(1)), expected)


@EVERY
def test_labels_larger_than_the_logits_are_taken_at_the_nearest_pixel(kind):
    student, teacher = maps(2, 5, 4, 4)
    labels = torch.randint(0, 5, (2, 16, 16))
    torch.testing.assert_close(kind()(student, teacher, labels), function(kind, student, teacher, labels[:, ::4, ::4]))


@EVERY
def test_labels_that_are_all_ignored_give_zero(kind):
    student, teacher = maps(2, 5, 4, 4)
    student.requires_grad_()
    loss = kind()(student, teacher, torch.full((2, 4, 4), 255))
    loss.backward()
    assert loss.item() == 0
    assert (student.grad == 0).all()


@LABELLED
def test_a_label_that_is_no_class_does_not_count(kind):
    """Background, in detectors with one score a class."""
    student, teacher = maps(6, 5)
    labels = torch.tensor([0, 5, 4, -1, 5, 2])
    kept = [0, 2, 5]
    expected = function(kind, student[kept], teacher[kept], labels[kept])
    torch.testing.assert_close(kind()(student, teacher, labels), expected)


def test_background_counts_in_kd_which_looks_at_no_label():
    student, teacher = maps(6, 5)
    torch.testing.assert_close(KDLoss()(student, teacher, torch.full((6,), 5)), kd_loss(student, teacher))


@LABELLED
def test_of_soft_labels_the_class_that_has_most_is_the_target(kind):
    student, teacher = maps(6, 5)
    soft = torch.rand(6, 5).softmax(1)
    torch.testing.assert_close(kind()(student, teacher, soft), function(kind, student, teacher, soft.argmax(1)))


def test_soft_labels_change_nothing_in_kd():
    student, teacher = maps(6, 5)
    torch.testing.assert_close(KDLoss()(student, teacher, torch.rand(6, 5)), kd_loss(student, teacher))


@EVERY
def test_anchors_of_a_dense_head_are_rows_in_the_order_of_its_labels(kind):
    anchors, classes = 3, 4
    student, teacher = maps(2, anchors * classes, 5, 6)
    labels = torch.randint(0, classes + 1, (2 * 5 * 6 * anchors,))  # the last one: background
    rows = [
        torch.stack(
            [
                x[n, a * classes : (a + 1) * classes, i, j]
                for n in range(2)
                for i in range(5)
                for j in range(6)
                for a in range(anchors)
            ]
        )
        for x in (student, teacher)
    ]
    kept = torch.ones_like(labels, dtype=torch.bool) if kind is KDLoss else labels < classes
    expected = function(kind, *(x[kept] for x in rows), labels[kept])
    torch.testing.assert_close(kind(num_classes=classes)(student, teacher, labels), expected)


@EVERY
def test_labels_may_be_given_level_by_level_and_picture_by_picture(kind):
    loss = kind(num_classes=4)
    levels = [maps(2, 12, 4, 4), maps(2, 12, 2, 2)]
    labels = [torch.randint(0, 5, (2, 3 * 16)), torch.randint(0, 5, (2, 3 * 4))]
    expected = sum(loss(*level, label.reshape(-1)) for level, label in zip(levels, labels, strict=True))
    students, teachers = zip(*levels, strict=True)
    torch.testing.assert_close(loss(students, teachers, labels), expected)
    with pytest.raises(ValueError, match="gt_labels has 1 levels but the predictions have 2"):
        loss(students, teachers, labels[:1])


def test_prints_its_hyper_parameters():
    assert repr(DKDLoss(loss_weight=2.0)) == "DKDLoss(alpha=1.0, beta=8.0, tau=4.0, loss_weight=2.0)"


@EVERY
def test_a_teacher_that_went_wrong_is_reported_and_not_trained_on(kind):
    student, teacher = maps(2, 5)
    teacher[0, 0] = float("nan")
    with pytest.raises(FloatingPointError, match=r"preds_T .* NaN or infinity: check its checkpoint"):
        kind()(student, teacher, torch.tensor([0, 1]))


@EVERY
def test_a_student_that_overflows_is_left_to_the_gradient_scaler(kind):
    student, teacher = maps(2, 5)
    student[:, 4] = float("inf")
    assert not kind()(student, teacher, torch.tensor([0, 1])).isfinite()


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: KDLoss(tau=0), "KDLoss.tau = 0: expected a finite number above 0"),
        (lambda: KDLoss(activation="sigmod"), "KDLoss.activation = 'sigmod': did you mean 'sigmoid'"),
        (lambda: KDLoss(reduction="sum"), "KDLoss.reduction = 'sum': Allowed: 'batchmean', 'mean'"),
        (lambda: KDLoss(num_classes=0), "KDLoss.num_classes = 0: expected a number above 0, or None"),
        (lambda: DKDLoss(alpha=-1), "DKDLoss.alpha = -1"),
        (lambda: DKDLoss(beta=float("nan")), "DKDLoss.beta = nan"),
        (lambda: DKDLoss(reduction="none"), "DKDLoss.reduction = 'none'"),
        (lambda: NKDLoss(gamma=-1), "NKDLoss.gamma = -1"),
        (lambda: NKDLoss(loss_weight=-1), "NKDLoss.loss_weight = -1"),
        (lambda: DCKDLoss(target_reference="bets"), "DCKDLoss.target_reference = 'bets': did you mean 'best'"),
        (lambda: DCKDLoss(non_target="wong"), "DCKDLoss.non_target = 'wong': did you mean 'wrong'"),
    ],
)
def test_a_wrong_hyper_parameter_is_refused_when_it_is_built(build, message):
    with pytest.raises(ValueError, match=message):
        build()


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        ((maps(2, 5)[0], [1.0], torch.tensor([0, 1])), TypeError, "preds_T must be a tensor or a tuple of tensors"),
        (((maps(2, 5)[0],) * 2, maps(2, 5)[0], torch.tensor([0, 1])), ValueError, "preds_S has 2 levels but preds_T"),
        ((*maps(2, 5), torch.tensor([0, 1, 2])), ValueError, "gt_labels has 3 samples but the logits have 2"),
        ((*maps(2, 5), None), TypeError, "gt_labels must be a tensor of integers, got NoneType"),
        ((*maps(2, 5), [0, 1]), TypeError, "gt_labels must be a tensor of integers, got list"),
        ((*maps(2, 5), torch.rand(2, 4)), ValueError, r"soft labels of shape \(2, 4\): expected .* \(2, 5\)"),
    ],
)
def test_a_wrong_input_is_named(call, error, message):
    with pytest.raises(error, match=message):
        DKDLoss()(*call)


def test_a_number_of_classes_that_does_not_divide_the_channels_is_named():
    with pytest.raises(ValueError, match="num_classes = 4: no divisor of the map's 10 channels"):
        KDLoss(num_classes=4)(*maps(2, 10, 3, 3))
