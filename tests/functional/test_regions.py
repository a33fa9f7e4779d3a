"""Regions of maps and SDD against their definitions, and what they promise."""

from __future__ import annotations

import functools

import pytest
import torch
from helpers.tensors import pair
from references import divergence, sdd

from mmdist.functional import dckd_loss, dkd_loss, kd_loss, nkd_loss, pool_regions, region_labels, sdd_loss

LOSSES = {"kd": kd_loss, "dkd": dkd_loss, "nkd": nkd_loss, "dckd": dckd_loss}
DEFINITIONS = {
    "kd": lambda s, t, y, **hyper: divergence.kd(s, t, **hyper),
    "dkd": divergence.dkd,
    "nkd": divergence.nkd,
    "dckd": divergence.dckd,
}
EVERY_BASE = pytest.mark.parametrize("base", list(LOSSES))
EVERY_SPLIT = pytest.mark.parametrize("split", ["correctness", "agreement"])


def regional(images: int = 6, classes: int = 4, regions: int = 5) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Student, teacher and labels, with teachers that are right, wrong, and of two minds about their regions."""
    student, teacher = pair(images, classes, regions)
    return student, teacher, torch.where(torch.arange(images) % 2 == 0, teacher[:, :, 0].argmax(1), 0)


def definition(student, teacher, target, base, mask=None, **options) -> float:
    hyper = {name: options.pop(name) for name in list(options) if name not in ("complementary", "split")}
    rows = [x.detach().transpose(1, 2).tolist() for x in (student, teacher)]
    labels = target if target.ndim == 2 else target[:, None].expand(-1, student.shape[2])
    base = functools.partial(DEFINITIONS[base], **hyper)
    return sdd.sdd(*rows, labels.tolist(), base, mask=None if mask is None else mask.tolist(), **options)


@pytest.mark.parametrize("size", [(8, 8), (7, 7), (4, 4), (2, 2), (5, 9), (1, 1)])
@pytest.mark.parametrize("nested", [True, False])
@pytest.mark.parametrize(("scales", "base"), [((1, 2, 4), 4), ((1, 2), 4), ((1,), 1), ((1, 3), 3), ((1, 2, 6), 6)])
def test_regions_are_the_cells_of_adaptive_average_pooling(size, nested, scales, base):
    x = torch.randn(2, 3, *size, dtype=torch.float64)
    pooled = pool_regions(x, scales, nested=nested)
    for n in range(2):
        for d in range(3):
            expected = sdd.regions(x[n, d].tolist(), scales, base if nested else None)
            assert pooled[n, d].tolist() == pytest.approx(expected, rel=1e-12)


def test_region_0_is_the_whole_map_and_the_others_go_row_by_row():
    x = torch.arange(16.0).reshape(1, 1, 4, 4)
    pooled = pool_regions(x)[0, 0]
    assert pooled.shape == (21,)
    assert pooled[0] == x.mean()
    assert pooled[1:5].tolist() == [2.5, 4.5, 10.5, 12.5]
    assert pooled[5:].tolist() == x.flatten().tolist()


def test_nesting_matters_only_where_the_grid_does_not_divide_the_map():
    for size, same in ((8, True), (4, True), (7, False)):
        x = torch.randn(2, 3, size, size)
        assert torch.allclose(pool_regions(x), pool_regions(x, nested=False), atol=1e-6) is same


@pytest.mark.parametrize("nested", [True, False])
def test_pooling_then_classifying_is_classifying_then_pooling(nested):
    x, head = torch.randn(2, 8, 7, 7), torch.nn.Conv2d(8, 5, 1)
    pooled = torch.nn.functional.linear(
        pool_regions(x, nested=nested).transpose(1, 2), head.weight[:, :, 0, 0], head.bias
    )
    torch.testing.assert_close(pooled.transpose(1, 2), pool_regions(head(x), nested=nested), rtol=1e-4, atol=1e-5)


def test_pooling_keeps_half_precision_and_has_a_gradient():
    x = torch.randn(2, 3, 7, 7, dtype=torch.bfloat16, requires_grad=True)
    pooled = pool_regions(x)
    pooled.sum().backward()
    assert pooled.dtype == x.grad.dtype == torch.bfloat16
    assert x.grad.isfinite().all()


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (dict(scales=(2, 4)), ValueError, r"scales = \(2, 4\): expected ascending integers with 1 first"),
        (dict(scales=(1, 4, 2)), ValueError, r"scales = \(1, 4, 2\)"),
        (dict(scales=(1, 2, 2)), ValueError, r"scales = \(1, 2, 2\)"),
        (dict(scales=(1, 2.0)), ValueError, r"scales = \(1, 2.0\)"),
        (dict(scales="[1,2,4]"), ValueError, r"scales = '\[1,2,4\]'"),
        (dict(scales=()), ValueError, r"scales = \(\)"),
        (dict(scales=(1, 2, 3)), ValueError, r"2 does not divide 3, the finest, .*nested=False"),
        (dict(x=torch.ones(2, 3, 4)), ValueError, r"x must be \(N, D, H, W\) .* got shape \(2, 3, 4\)"),
        (dict(x=torch.ones(2, 3, 0, 4)), ValueError, "with a pixel at least"),
        (dict(x=torch.ones(2, 3, 4, 4).long()), TypeError, "x must be a floating-point tensor, got torch.int64"),
    ],
)
def test_a_wrong_argument_of_pooling_is_named(call, error, message):
    with pytest.raises(error, match=message):
        pool_regions(**{"x": torch.ones(2, 3, 4, 4), **call})


def test_grids_that_do_not_divide_each_other_are_fine_without_nesting():
    assert pool_regions(torch.randn(2, 3, 6, 6), (1, 2, 3), nested=False).shape == (2, 3, 14)


@pytest.mark.parametrize("size", [(8, 8), (7, 5), (3, 10), (2, 2)])
@pytest.mark.parametrize("scales", [(1, 2, 4), (1, 3)])
@pytest.mark.parametrize("ignore_index", [255, -1])
def test_a_region_has_the_class_of_most_of_its_pixels(size, scales, ignore_index):
    labels = torch.randint(0, 4, (3, *size))
    labels[torch.rand(labels.shape) < 0.4] = ignore_index
    target, mask = region_labels(labels, scales, num_classes=4, ignore_index=ignore_index)
    height, width = size
    for n in range(3):
        index = 0
        for scale in scales:
            for i in range(scale):
                for j in range(scale):
                    cell = [
                        labels[n, r, c].item()
                        for r in range(height)
                        for c in range(width)
                        if (r * scale // height, c * scale // width) == (i, j)
                    ]
                    known = [label for label in cell if label != ignore_index]
                    assert mask[n, index].item() is (bool(known) and len(known) >= 0.5 * len(cell))
                    if known:
                        assert target[n, index] == max(range(4), key=known.count)
                    index += 1
        assert index == target.shape[1]


def test_of_classes_with_equally_many_pixels_the_smallest_counts():
    labels = torch.tensor([[[3, 1], [1, 3]]])
    assert region_labels(labels, (1,), num_classes=4)[0].item() == 1


def test_a_region_without_enough_labels_does_not_count():
    labels = torch.full((1, 4, 4), 255)
    labels[0, 0, 0] = 2
    shares = {0.0: [True, True, False, False, False], 0.25: [False, True, False, False, False], 0.3: [False] * 5}
    for min_valid, expected in shares.items():
        assert region_labels(labels, (1, 2), num_classes=3, min_valid=min_valid)[1][0].tolist() == expected


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int32])
def test_label_maps_may_be_of_any_integer_dtype(dtype):
    labels = torch.randint(0, 4, (2, 8, 8))
    labels[0, :2] = 255
    for given, expected in zip(
        region_labels(labels.to(dtype), num_classes=4), region_labels(labels, num_classes=4), strict=True
    ):
        assert torch.equal(given, expected)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (dict(labels=torch.ones(1, 4, 4)), TypeError, "labels must be integers, got torch.float32"),
        (dict(labels=torch.ones(1, 1, 4, 4).long()), ValueError, r"labels must be \(N, H, W\)"),
        (dict(labels=torch.full((1, 4, 4), 7)), ValueError, r"labels must be in \[0, 3\) or ignore_index = 255"),
        (dict(num_classes=0), ValueError, "num_classes = 0"),
        (dict(min_valid=1.5), ValueError, "min_valid = 1.5: expected a share"),
        (dict(scales=(2,)), ValueError, r"scales = \(2,\)"),
    ],
)
def test_a_wrong_argument_of_region_labels_is_named(call, error, message):
    with pytest.raises(error, match=message):
        region_labels(**{"labels": torch.zeros(1, 4, 4).long(), "num_classes": 3, **call})


@EVERY_BASE
@EVERY_SPLIT
@pytest.mark.parametrize("options", [{}, {"tau": 2.0}])
def test_the_value_is_that_of_the_definition(base, split, options):
    student, teacher, target = regional()
    value = sdd_loss(student, teacher, target, base=base, split=split, **options)
    expected = definition(student, teacher, target, base, split=split, **options)
    assert value.item() == pytest.approx(expected, rel=1e-9)
    plain = definition(student, teacher, target, base, complementary=1.0, split=split, **options)
    assert expected > plain  # some regions differ


@EVERY_BASE
@EVERY_SPLIT
def test_the_value_with_labels_and_masks_of_regions_is_that_of_the_definition(base, split):
    student, teacher, _ = regional()
    target = torch.where(torch.rand(6, 5) < 0.5, teacher.argmax(1), torch.randint(0, 4, (6, 5)))
    mask = torch.rand(6, 5) < 0.7
    mask[0, 0] = False  # its prediction is still what the others are compared with
    value = sdd_loss(student, teacher, target, base=base, split=split, complementary_weight=3.0, mask=mask)
    expected = definition(student, teacher, target, base, mask, complementary=3.0, split=split)
    assert value.item() == pytest.approx(expected, rel=1e-9)


@EVERY_BASE
def test_hyper_parameters_reach_the_base(base):
    student, teacher, target = regional()
    hyper = {"kd": {"activation": "sigmoid"}, "nkd": {"legacy_mask": True}, "dckd": {"non_target": "all"}}.get(base, {})
    hyper = {**hyper, "tau": 3.0} if base != "dkd" else {"alpha": 0.5, "beta": 2.0}
    value = sdd_loss(student, teacher, target, base=base, **hyper)
    assert value.item() == pytest.approx(definition(student, teacher, target, base, **hyper), rel=1e-9)


@EVERY_BASE
def test_gradcheck_in_float64(base):
    student, teacher, target = regional(3, 3, 3)
    assert torch.autograd.gradcheck(lambda s: sdd_loss(s, teacher, target, base=base), (student,))


@EVERY_BASE
def test_one_region_gives_the_base_loss(base):
    student, teacher, target = regional(regions=1)
    labels = () if base == "kd" else (target,)
    expected = LOSSES[base](student[:, :, 0], teacher[:, :, 0], *labels)
    for given in (target, target.unsqueeze(1)):
        assert torch.equal(sdd_loss(student, teacher, given, base=base), expected)


@EVERY_BASE
@EVERY_SPLIT
def test_a_complementary_weight_of_1_gives_the_plain_mean(base, split):
    student, teacher, target = regional()
    rows = [x.transpose(1, 2).flatten(0, 1) for x in (student, teacher)]
    labels = () if base == "kd" else (target.repeat_interleave(5),)
    value = sdd_loss(student, teacher, target, base=base, split=split, complementary_weight=1.0)
    torch.testing.assert_close(value, LOSSES[base](*rows, *labels))


@EVERY_SPLIT
def test_the_order_of_the_regions_does_not_matter_but_for_the_first(split):
    student, teacher, target = regional()
    for order, same in (([0, 3, 1, 4, 2], True), ([1, 0, 2, 3, 4], False)):
        shuffled = sdd_loss(student[:, :, order], teacher[:, :, order], target, split=split)
        assert torch.isclose(shuffled, sdd_loss(student, teacher, target, split=split)).item() is same


def test_two_different_wrong_classes_agree_in_correctness_alone():
    teacher = torch.zeros(1, 3, 2)
    teacher[0, 1, 0] = teacher[0, 2, 1] = 5.0  # the label is 0
    student, target = torch.randn(1, 3, 2), torch.tensor([0])
    values = {split: sdd_loss(student, teacher, target, split=split) for split in ("correctness", "agreement")}
    assert values["agreement"] > values["correctness"]
    torch.testing.assert_close(values["correctness"], kd_loss(student, teacher))


@EVERY_SPLIT
def test_the_whole_picture_always_weighs_1(split):
    student, teacher, target = regional()
    only_first = torch.zeros(6, 5, dtype=torch.bool)
    only_first[:, 0] = True
    value = sdd_loss(student, teacher, target, split=split, complementary_weight=9.0, mask=only_first)
    torch.testing.assert_close(value, kd_loss(student[:, :, 0], teacher[:, :, 0]))


def test_agreement_of_kd_needs_no_labels():
    student, teacher, target = regional()
    assert torch.equal(
        sdd_loss(student, teacher, None, split="agreement"), sdd_loss(student, teacher, target, split="agreement")
    )


@EVERY_BASE
def test_masked_regions_may_hold_anything(base):
    student, teacher, target = regional()
    target = target[:, None].repeat(1, 5)
    mask = torch.ones(6, 5, dtype=torch.bool)
    mask[2, 3] = mask[4, 1] = False
    expected = sdd_loss(student, teacher, target, base=base, mask=mask)
    poisoned, teacher = student.detach().clone(), teacher.clone()
    poisoned[2, :, 3], teacher[4, :, 1], target[2, 3] = float("nan"), float("inf"), 255
    poisoned.requires_grad_()
    value = sdd_loss(poisoned, teacher, target, base=base, mask=mask)
    value.backward()
    torch.testing.assert_close(value, expected)
    assert poisoned.grad.isfinite().all()


@EVERY_BASE
@pytest.mark.parametrize("images", [0, 2])
def test_nothing_that_counts_gives_zero_loss_and_zero_gradient(base, images):
    student, teacher, target = regional(images)
    value = sdd_loss(student, teacher, target, base=base, mask=torch.zeros(images, 5, dtype=torch.bool))
    value.backward()
    assert value.item() == 0
    assert (student.grad == 0).all()


@EVERY_BASE
def test_the_teacher_never_gets_a_gradient(base):
    student, teacher, target = regional()
    sdd_loss(student, teacher.requires_grad_(), target, base=base).backward()
    assert teacher.grad is None
    assert student.grad.abs().sum() > 0


@EVERY_BASE
@pytest.mark.parametrize("kind", ["one picture", "constant", "huge"])
def test_value_and_gradient_are_always_finite(base, kind):
    student, teacher, target = regional(1 if kind == "one picture" else 6)
    student = {"constant": torch.ones_like(student), "huge": student.sign() * 1e4}.get(kind, student).detach()
    teacher = teacher.sign() * 1e4 if kind == "huge" else teacher
    student = student.half().requires_grad_()
    value = sdd_loss(student, teacher.half(), target, base=base)
    value.backward()
    assert value.isfinite()
    assert student.grad.isfinite().all()


@EVERY_BASE
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_inputs_are_computed_in_float32(base, dtype):
    student, teacher, target = regional()
    student, teacher = student.detach().to(dtype).requires_grad_(), teacher.to(dtype)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        value = sdd_loss(student, teacher, target, base=base)
    assert value.dtype == torch.float32
    assert value.item() == pytest.approx(definition(student.double(), teacher.double(), target, base), rel=1e-5)
    value.backward()
    assert student.grad.isfinite().all()


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (dict(taau=4.0), TypeError, "no argument 'taau' for base 'kd': did you mean 'tau'"),
        (dict(base="dkd", gamma=1.0), TypeError, "no argument 'gamma' for base 'dkd': .*'alpha', 'beta', 'tau'"),
        (dict(reduction="sum"), TypeError, "no argument 'reduction'"),
        (dict(base="dk"), ValueError, "base = 'dk': did you mean 'dkd'"),
        (dict(split="correct"), ValueError, "split = 'correct': did you mean 'correctness'"),
        (dict(complementary_weight=-1), ValueError, "complementary_weight = -1"),
        (dict(target=None), ValueError, r"target = None: labels are needed by split 'correctness' \(split='agreement'"),
        (dict(target=None, base="nkd", split="agreement"), ValueError, "labels are needed by base 'nkd'"),
        (dict(target=torch.zeros(2)), TypeError, "target must be integers, got torch.float32"),
        (dict(target=torch.zeros(2, 4).long()), ValueError, r"\(N,\) = \(2,\) or \(N, R\) = \(2, 5\), got \(2, 4\)"),
        (dict(base="dkd", target=torch.tensor([0, 3])), ValueError, r"target must be in \[0, 3\)"),
        (dict(mask=torch.ones(2, dtype=torch.bool)), ValueError, r"mask must have shape .*\(2, 5\), got \(2,\)"),
        (dict(regions_s=torch.ones(2, 3)), ValueError, r"regions_s and regions_t must have one shape"),
        (dict(regions_s=torch.ones(2, 3, 0), regions_t=torch.ones(2, 3, 0)), ValueError, "with a region at least"),
        (dict(regions_s=torch.ones(2, 3, 2, 2), regions_t=torch.ones(2, 3, 2, 2)), ValueError, r"\(N, C, R\)"),
    ],
)
def test_a_wrong_argument_is_named(call, error, message):
    arguments = {"regions_s": torch.ones(2, 3, 5), "regions_t": torch.ones(2, 3, 5), "target": torch.tensor([0, 1])}
    arguments.update(call)
    with pytest.raises(error, match=message):
        sdd_loss(**arguments)


def test_a_label_that_is_no_class_is_refused_by_every_base():
    student, teacher = torch.randn(4, 5, 21), torch.randn(4, 5, 21)
    for base in ("kd", "dkd", "nkd", "dckd"):
        with pytest.raises(ValueError, match=r"target must be in \[0, 5\)"):
            sdd_loss(student, teacher, torch.tensor([0, 1, 2, 9]), base=base)
