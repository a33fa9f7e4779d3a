"""RDD's weights and masks against their definition in float64, and what they promise where it breaks down."""

from __future__ import annotations

import math

import pytest
import torch
from helpers.label_maps import SHAPES, assert_equal, labelled
from helpers.tensors import pair
from references import rdd as reference

from mmdist.functional import (
    entropy_weight,
    label_probability,
    rdd_hard_mask,
    rdd_relative_mask,
    rdd_teacher_weight,
)
from mmdist.functional.difficulty import combine_masks, hard_from_probability

# The teacher's weight


@pytest.mark.parametrize(("shape", "size"), SHAPES)
@pytest.mark.parametrize("direction", ["aux_main", "main_aux"])
def test_the_teacher_weight_is_that_of_the_definition(shape, size, direction):
    main, aux = (x.detach() for x in pair(*shape))
    lists = main.tolist(), aux.tolist()
    assert_equal(
        rdd_teacher_weight(main, aux, kl_direction=direction), reference.teacher_weight(*lists, None, direction)
    )
    weight = rdd_teacher_weight(main, aux, size=size, kl_direction=direction)
    assert_equal(weight, reference.teacher_weight(*lists, size, direction))
    assert weight.shape == (shape[0], *size)


def test_the_divergence_is_taken_from_the_auxiliary_head_unless_the_paper_is_asked_for():
    main, aux = torch.tensor([[0.0, 0.0]]), torch.tensor([[math.log(3.0), 0.0]])
    code = math.exp(-(0.75 * math.log(1.5) + 0.25 * math.log(0.5)))
    paper = math.exp(-(0.5 * math.log(0.5 / 0.75) + 0.5 * math.log(0.5 / 0.25)))
    assert rdd_teacher_weight(main, aux).item() == pytest.approx(code, rel=1e-6)
    assert rdd_teacher_weight(main, aux, kl_direction="main_aux").item() == pytest.approx(paper, rel=1e-6)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("align_corners", [True, False])
def test_heads_that_agree_give_a_weight_of_exactly_one(dtype, align_corners):
    main = (torch.randn(2, 19, 8, 16) * 5).to(dtype)
    for size in (None, (64, 128), (37, 101), (8, 16), (3, 5)):
        assert (rdd_teacher_weight(main, main, size=size, align_corners=align_corners) == 1).all()
    corner = main[..., :2, :2]  # ones, resized like this, do not stay ones in float32
    assert (rdd_teacher_weight(corner, corner, size=(48, 48), align_corners=align_corners) == 1).all()


def test_the_teacher_weight_is_never_above_one_or_zero_without_need():
    main = torch.randn(4, 19, 16, 16) * 3
    for aux in (main + 1e-4 * torch.randn_like(main), torch.randn_like(main) * 3):
        for size in (None, (61, 67)):
            weight = rdd_teacher_weight(main, aux, size=size)
            assert (weight > 0).all()
            assert (weight <= 1).all()


def test_an_auxiliary_map_of_another_size_is_resized_to_the_main_one():
    main, aux = torch.randn(2, 5, 8, 12, dtype=torch.float64), torch.randn(2, 5, 4, 3, dtype=torch.float64)
    planes = [[reference.resize(plane, (8, 12)) for plane in image] for image in aux.tolist()]
    assert_equal(rdd_teacher_weight(main, aux), reference.teacher_weight(main.tolist(), planes))


def test_samples_without_a_map_have_a_weight_too():
    main, aux = torch.randn(6, 5), torch.randn(6, 5)
    as_pixels = (x.T.reshape(1, 5, 2, 3) for x in (main, aux))
    torch.testing.assert_close(rdd_teacher_weight(main, aux), rdd_teacher_weight(*as_pixels).flatten())


# The weight without an auxiliary head


@pytest.mark.parametrize(("shape", "size"), SHAPES)
@pytest.mark.parametrize("activation", ["softmax", "sigmoid"])
def test_the_entropy_weight_is_that_of_the_definition(shape, size, activation):
    logits = pair(*shape)[1]
    expected = reference.entropy_weight(logits.tolist(), size, activation)
    assert_equal(entropy_weight(logits, size=size, activation=activation), expected)


def test_a_sure_teacher_weighs_one_and_one_that_cannot_decide_one_over_the_classes():
    logits = torch.zeros(2, 10)
    logits[0, 3] = 1e4
    torch.testing.assert_close(entropy_weight(logits), torch.tensor([1.0, 0.1]))


# Which positions are hard


@pytest.mark.parametrize(("shape", "size"), SHAPES)
@pytest.mark.parametrize("threshold", [0.0, 0.3, 0.7, 1.0])
def test_the_masks_are_those_of_the_definition(shape, size, threshold):
    student, teacher, label = labelled(shape, size)
    count = int((label != 255).sum())
    for min_kept in {0, 1, count // 2, max(count - 1, 0), count, count + 1, label.numel(), 100_000}:
        options = dict(threshold=threshold, min_kept=min_kept)
        hard_s, hard_t = (
            torch.tensor(
                reference.hard_mask(
                    reference.label_probability(x.tolist(), label.tolist(), 255), label.tolist(), 255, **options
                )
            )
            for x in (student, teacher)
        )
        assert rdd_hard_mask(student, label, **options).equal(hard_s)
        for mode, expected in (
            ("xor", hard_s != hard_t),
            ("or", hard_s | hard_t),
            ("and", hard_s & hard_t),
            ("student", hard_s),
        ):
            assert rdd_relative_mask(student, teacher, label, mode=mode, **options).equal(expected)


@pytest.mark.parametrize(
    ("min_kept", "expected"),
    [
        (0, [True, False, False, False, True, False]),  # the threshold alone
        (1, [True, False, False, False, True, False]),  # the threshold keeps more
        (3, [True, True, False, False, True, False]),  # the third smallest
        (4, [True, True, True, True, True, False]),  # two are the fourth smallest
        (5, [True, True, True, True, True, False]),  # as many as there are
        (6, [True, True, True, True, True, False]),  # more than there are
    ],
)
def test_so_many_are_hard_at_least(min_kept, expected):
    probability = torch.tensor([0.1, 0.8, 0.9, 0.9, 0.7, 0.0])
    valid = torch.tensor([True, True, True, True, True, False])
    assert hard_from_probability(probability, valid, 0.7, min_kept).tolist() == expected


def test_the_number_that_is_kept_is_that_of_the_whole_batch():
    probability = torch.tensor([[0.8, 0.81, 0.82], [0.9, 0.91, 0.92]])
    hard = hard_from_probability(probability, torch.ones(2, 3, dtype=torch.bool), min_kept=3)
    assert hard.tolist() == [[True, True, True], [False, False, False]]


def test_the_masks_can_be_made_from_probabilities_that_are_kept():
    student, teacher, label = labelled((2, 5, 3, 4), (7, 9))
    masks = [hard_from_probability(label_probability(z, label), label != 255, 0.5, 20) for z in (student, teacher)]
    for mode in ("xor", "or", "and", "student"):
        expected = rdd_relative_mask(student, teacher, label, mode=mode, threshold=0.5, min_kept=20)
        assert combine_masks(*masks, mode).equal(expected)


def test_the_ignored_label_may_be_any_number():
    student, teacher, label = labelled((2, 5, 3, 4), (7, 9))
    for ignore in (-1, -100, 5, 2**40):
        changed = label.where(label != 255, ignore)
        for min_kept in (0, 30):
            options = dict(min_kept=min_kept)
            expected = rdd_relative_mask(student, teacher, label, **options)
            assert rdd_relative_mask(student, teacher, changed, ignore_index=ignore, **options).equal(expected)


def test_a_class_can_be_ignored():
    student, _, label = labelled((2, 5, 3, 4), (7, 9))
    mask = rdd_hard_mask(student, label.where(label != 255, 0), ignore_index=0)
    assert not mask[(label == 255) | (label == 0)].any()
    assert mask.sum() == ((label != 255) & (label != 0)).sum()


@pytest.mark.parametrize("min_kept", [0, 10, 100_000])
def test_identical_networks_have_no_relative_difficulty(min_kept):
    _, teacher, label = labelled((2, 5, 3, 4), (7, 9))
    assert not rdd_relative_mask(teacher, teacher.clone(), label, min_kept=min_kept).any()


def test_student_and_teacher_maps_may_be_of_different_sizes():
    student, _, label = labelled((2, 5, 3, 4), (7, 9))
    teacher = torch.randn(2, 5, 7, 9, dtype=torch.float64)
    expected = rdd_hard_mask(student, label, min_kept=0) ^ rdd_hard_mask(teacher, label, min_kept=0)
    assert rdd_relative_mask(student, teacher, label, min_kept=0).equal(expected)


# Everything


def test_nothing_gets_a_gradient():
    student, teacher, label = labelled((2, 5, 3, 4), (7, 9))
    student.requires_grad_()
    teacher.requires_grad_()
    for value in (
        rdd_teacher_weight(student, teacher),
        entropy_weight(teacher),
        label_probability(student, label),
        label_probability(student[:, :, 0, 0], student[:, :, 0, 0].detach().softmax(1)),
    ):
        assert not value.requires_grad


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("activation", ["softmax", "sigmoid"])
def test_extreme_logits_give_finite_values(dtype, activation):
    label = torch.randint(0, 5, (2, 7, 9))
    label[0, :2] = 255
    z, other = ((torch.randn(2, 5, 3, 4).sign() * 1e4).to(dtype) for _ in range(2))
    single = torch.float64 if dtype == torch.float64 else torch.float32
    with torch.autocast("cpu", dtype=torch.bfloat16):
        values = (
            rdd_teacher_weight(z, other, size=(7, 9)),
            rdd_teacher_weight(z, other, size=(7, 9), kl_direction="main_aux"),
            entropy_weight(z, size=(7, 9), activation=activation),
            label_probability(z, label, activation=activation),
        )
        mask = rdd_relative_mask(z, other, label, min_kept=10, activation=activation)
    for value in values:
        assert value.dtype == single
        assert value.isfinite().all()
        assert value.min() >= 0
        assert value.max() <= 1
    assert mask.dtype == torch.bool
    assert not mask[label == 255].any()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_computed_in_float32(dtype):
    student, teacher, label = labelled((2, 5, 3, 4), (7, 9))
    student, teacher = student.to(dtype), teacher.to(dtype)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        results = (
            rdd_teacher_weight(student, teacher, size=(7, 9)),
            entropy_weight(teacher, size=(7, 9)),
            label_probability(student, label),
        )
    student, teacher = student.double(), teacher.double()
    expected = (
        rdd_teacher_weight(student, teacher, size=(7, 9)),
        entropy_weight(teacher, size=(7, 9)),
        label_probability(student, label),
    )
    for value, exact in zip(results, expected, strict=True):
        assert value.dtype == torch.float32
        torch.testing.assert_close(value.double(), exact, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("min_kept", [0, 1, 100_000])
def test_a_batch_without_a_valid_pixel_has_no_hard_one(min_kept):
    student, teacher, label = labelled((1, 5, 3, 4), (7, 9))
    label.fill_(255)
    assert (label_probability(student, label) == 1).all()
    assert not rdd_hard_mask(student, label, min_kept=min_kept).any()
    assert not rdd_relative_mask(student, teacher, label, mode="or", min_kept=min_kept).any()


@pytest.mark.parametrize(("shape", "size"), [((0, 5), ()), ((0, 5, 3, 4), (7, 9)), ((2, 5, 3, 4), (0, 9))])
def test_an_empty_batch_gives_empty_maps(shape, size):
    logits, label = torch.zeros(shape), torch.zeros(shape[0], *size, dtype=torch.long)
    assert label_probability(logits, label).shape == label.shape
    assert rdd_relative_mask(logits, logits, label).shape == label.shape
    assert rdd_teacher_weight(logits, logits).shape == (shape[0], *shape[2:])


def test_one_image_keeps_its_axis():
    logits, label = torch.randn(1, 3, 1, 1), torch.zeros(1, 1, 1, dtype=torch.long)
    assert rdd_teacher_weight(logits, logits, size=(1, 1)).shape == (1, 1, 1)
    assert rdd_hard_mask(logits, label).shape == (1, 1, 1)


MAP, LABEL = torch.randn(2, 5, 3, 4), torch.zeros(2, 7, 9, dtype=torch.long)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: rdd_teacher_weight([1.0], MAP), TypeError, "main_t must be a tensor, got list"),
        (lambda: rdd_teacher_weight(MAP, MAP.long()), TypeError, "aux_t must be of a floating-point dtype"),
        (lambda: rdd_teacher_weight(MAP, MAP[:, :4]), ValueError, r"main_t and aux_t must have one shape"),
        (lambda: rdd_teacher_weight(MAP, MAP, kl_direction="aux"), ValueError, "kl_direction = 'aux': .*'aux_main'"),
        (lambda: rdd_teacher_weight(MAP, MAP, size=(3,)), ValueError, r"size = \(3,\): expected \(height, width\)"),
        (lambda: entropy_weight(MAP[:, :, 0, 0], size=(3, 3)), ValueError, "these have 0 spatial dimensions"),
        (lambda: entropy_weight(MAP, activation="none"), ValueError, "activation = 'none'"),
        (lambda: entropy_weight(MAP[0, 0, 0]), ValueError, r"logits_t must be \(N, C\)"),
        (lambda: rdd_hard_mask(MAP, LABEL, threshold=-0.1), ValueError, "threshold = -0.1: expected"),
        (lambda: rdd_hard_mask(MAP, LABEL, min_kept=1e5), ValueError, "min_kept = 100000.0: expected an integer"),
        (lambda: rdd_hard_mask(MAP, LABEL, min_kept=-1), ValueError, "min_kept = -1: expected an integer, 0 or above"),
        (lambda: rdd_relative_mask(MAP, MAP, LABEL, mode="xr"), ValueError, "mode = 'xr': did you mean .*'xor'"),
        (lambda: rdd_relative_mask(MAP, None, LABEL), TypeError, "logits_t must be a tensor, got NoneType"),
        (lambda: combine_masks(LABEL > 0, LABEL > 0, "nand"), ValueError, "mode = 'nand'"),
    ],
)
def test_a_wrong_argument_is_named(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_a_class_that_both_heads_exclude_is_no_disagreement():
    logits = torch.tensor([[1.0, float("-inf"), 0.0]])
    assert rdd_teacher_weight(logits, logits).tolist() == [1.0]


def test_a_size_that_is_no_pair_is_named():
    with pytest.raises(ValueError, match="size = 8: expected"):
        rdd_teacher_weight(torch.randn(1, 3, 4, 4), torch.randn(1, 3, 4, 4), size=8)
