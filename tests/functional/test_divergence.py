"""KD, DKD, NKD and DCKD against their definitions, and what they promise where the definitions break down."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pytest
import torch
from helpers.tensors import pair, rows_of
from references import divergence as reference

from mmdist.functional import _divergence, dckd_loss, dkd_loss, kd_loss, nkd_loss

SHAPES = [(6, 5), (2, 4, 7), (2, 3, 4, 5), (1, 4, 2, 2, 2)]
CASES = {  # name: function, reference, hyper-parameters
    "kd": (kd_loss, reference.kd, {"tau": 4.0}),
    "kd sigmoid": (kd_loss, reference.kd, {"tau": 2.0, "activation": "sigmoid"}),
    "dkd": (dkd_loss, reference.dkd, {}),
    "dkd other": (dkd_loss, reference.dkd, {"alpha": 0.5, "beta": 2.0, "tau": 1.0}),
    "nkd": (nkd_loss, reference.nkd, {}),
    "nkd warm": (nkd_loss, reference.nkd, {"gamma": 8.0, "tau": 4.0}),
    "nkd legacy": (nkd_loss, reference.nkd, {"gamma": 0.5, "tau": 2.0, "legacy_mask": True}),
    "dckd": (dckd_loss, reference.dckd, {}),
    "dckd all": (dckd_loss, reference.dckd, {"tau": 1.0, "beta": 0.5, "non_target": "all"}),
    "dckd teacher": (dckd_loss, reference.dckd, {"target_reference": "teacher"}),
    "dckd none": (dckd_loss, reference.dckd, {"non_target": "none"}),
}
EVERY = pytest.mark.parametrize("case", list(CASES))


def call(case: str, student, teacher, target, **kwargs):
    function, _, hyper = CASES[case]
    labels = () if function is kd_loss else (target,)
    return function(student, teacher, *labels, **{**hyper, **kwargs})


def expected(case: str, student, teacher, target) -> list[float]:
    """One value a position."""
    function, definition, hyper = CASES[case]
    rows = zip(rows_of(student), rows_of(teacher), target.flatten().tolist(), strict=True)
    return [definition(s, t, *(() if function is kd_loss else (y,)), **hyper) for s, t, y in rows]


def labels_of(logits) -> torch.Tensor:
    return torch.randint(0, logits.shape[1], (logits.shape[0], *logits.shape[2:]))


@EVERY
@pytest.mark.parametrize("shape", SHAPES)
def test_the_value_is_that_of_the_definition(case, shape):
    student, teacher = pair(*shape)
    target = labels_of(student)
    values = expected(case, student, teacher, target)
    single = call(case, student, teacher, target, reduction="none")
    assert single.shape == target.shape
    assert single.flatten().tolist() == pytest.approx(values, rel=1e-9, abs=1e-12)
    mean = math.fsum(values) / len(values)
    assert call(case, student, teacher, target).item() == pytest.approx(mean, rel=1e-9)
    assert call(case, student, teacher, target, reduction="sum").item() == pytest.approx(math.fsum(values), rel=1e-9)


@EVERY
def test_the_value_is_that_of_the_definition_in_float32_too(case):
    student, teacher = pair(8, 6, dtype=torch.float32)
    target = labels_of(student)
    values = expected(case, student, teacher, target)
    value = call(case, student, teacher, target)
    assert value.dtype == torch.float32
    assert value.item() == pytest.approx(math.fsum(values) / len(values), rel=1e-5)


@EVERY
def test_the_value_is_that_of_the_definition_at_logits_of_100(case):
    student, teacher = (x.sign() * 100 + x for x in pair(8, 5))
    target = labels_of(student)
    values = expected(case, student, teacher, target)
    assert call(case, student, teacher, target).item() == pytest.approx(math.fsum(values) / len(values), rel=1e-9)


@EVERY
@pytest.mark.parametrize("options", [{}, {"mask": True}, {"weight": True}, {"mask": True, "weight": True}])
def test_gradcheck_in_float64(case, options):
    student, teacher = pair(2, 4, 2, 2)
    target = labels_of(student)
    kwargs = {}
    if options.get("mask"):
        kwargs["mask"] = torch.tensor([[[True, False], [True, True]], [[True, True], [False, True]]])
    if options.get("weight"):
        kwargs["weight"] = torch.rand(2, 2, 2, dtype=torch.float64) + 0.1
    for reduction in ("mean", "sum", "none"):
        kwargs["reduction"] = reduction
        assert torch.autograd.gradcheck(lambda s: call(case, s, teacher, target, **kwargs), (student,))


@EVERY
def test_a_map_is_its_pixels_as_rows(case):
    student, teacher = pair(2, 5, 3, 4)
    target = labels_of(student)
    flat = [x.movedim(1, -1).reshape(-1, 5) for x in (student, teacher)]
    torch.testing.assert_close(call(case, student, teacher, target), call(case, *flat, target.flatten()))


@EVERY
def test_the_mean_is_weighted_over_what_counts(case):
    student, teacher = pair(2, 4, 3, 2)
    target = labels_of(student)
    weight = torch.rand(2, 3, 2, dtype=torch.float64)
    mask = torch.rand(2, 3, 2) > 0.4
    values = expected(case, student, teacher, target)
    w = (weight * mask).flatten().tolist()
    weighted = [a * b for a, b in zip(w, values, strict=True)]
    results = {
        name: call(case, student, teacher, target, mask=mask, weight=weight, reduction=name)
        for name in ("mean", "sum", "none")
    }
    assert results["mean"].item() == pytest.approx(math.fsum(weighted) / math.fsum(w), rel=1e-9)
    assert results["sum"].item() == pytest.approx(math.fsum(weighted), rel=1e-9)
    assert results["none"].flatten().tolist() == pytest.approx(weighted, rel=1e-9, abs=1e-12)


@EVERY
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_masked_positions_may_hold_anything(case, reduction):
    student, teacher = pair(2, 4, 3, 2)
    target = labels_of(student)
    mask = torch.ones(2, 3, 2, dtype=torch.bool)
    mask[0, 1] = False
    clean = call(case, student, teacher, target, mask=mask, reduction=reduction)
    poisoned = student.detach().clone()
    poisoned[0, :, 1] = float("nan")
    poisoned.requires_grad_()
    teacher, target = teacher.clone(), target.clone()
    teacher[0, :, 1] = float("inf")
    target[0, 1] = 255
    value = call(case, poisoned, teacher, target, mask=mask, reduction=reduction)
    value.sum().backward()
    torch.testing.assert_close(value, clean)
    assert poisoned.grad.isfinite().all()
    assert (poisoned.grad[0, :, 1] == 0).all()
    if reduction == "none":
        assert (value[0, 1] == 0).all()


@EVERY
@pytest.mark.parametrize("shape", [(2, 4, 3, 2), (0, 4), (0, 4, 3, 2), (2, 4, 0, 3)])
def test_nothing_that_counts_gives_zero_loss_and_zero_gradient(case, shape):
    student, teacher = pair(*shape)
    target = labels_of(student)
    mask = torch.zeros(target.shape, dtype=torch.bool)
    for kwargs in ({"mask": mask}, {"weight": mask.double()}, *([{}] if not target.numel() else [])):
        value = call(case, student, teacher, target, **kwargs)
        value.backward()
        assert value.item() == 0
        assert (student.grad == 0).all()
        assert student.grad.shape == shape


@pytest.mark.parametrize("case", [name for name in CASES if not name.startswith("nkd")])
def test_identical_networks_give_exactly_zero(case):
    _, teacher = pair(4, 6, dtype=torch.float32)
    assert call(case, teacher, teacher, labels_of(teacher)).item() == 0


@EVERY
def test_adding_a_constant_to_a_row_changes_nothing_where_classes_compete(case):
    student, teacher = pair(4, 6)
    target = labels_of(student)
    moved = call(case, student + torch.randn(4, 1), teacher, target)
    same = torch.allclose(moved, call(case, student, teacher, target))
    assert same is (case != "kd sigmoid")


@EVERY
def test_the_order_of_samples_and_classes_does_not_matter(case):
    student, teacher = pair(8, 6)
    target = labels_of(student)
    rows, columns = torch.randperm(8), torch.randperm(6)
    shuffled = [x[rows][:, columns] for x in (student, teacher)]
    renamed = columns.argsort()[target[rows]]
    torch.testing.assert_close(call(case, *shuffled, renamed), call(case, student, teacher, target))


@EVERY
def test_the_teacher_never_gets_a_gradient(case):
    student, teacher = pair(6, 5)
    teacher.requires_grad_()
    call(case, student, teacher, labels_of(student)).backward()
    assert teacher.grad is None
    assert student.grad.abs().sum() > 0


@EVERY
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_inputs_are_computed_in_float32(case, dtype):
    student, teacher = pair(32, 50, dtype=dtype)
    target = labels_of(student)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        value = call(case, student, teacher, target)
    value.backward()
    values = expected(case, student, teacher, target)
    assert value.dtype == torch.float32
    assert value.item() == pytest.approx(math.fsum(values) / len(values), rel=1e-5)
    assert student.grad.dtype == dtype


@EVERY
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("kind", ["one row", "one pixel", "two classes", "constant", "zeros", "huge", "saturated"])
def test_value_and_gradient_are_always_finite(case, kind, dtype):
    shape = {"one row": (1, 5), "one pixel": (1, 5, 1, 1), "two classes": (6, 2)}.get(kind, (6, 5))
    student, teacher = pair(*shape, dtype=dtype)
    student = student.detach()
    if kind in ("constant", "zeros"):
        student = torch.full_like(student, 3.0 if kind == "constant" else 0.0)
    elif kind == "huge":
        student, teacher = student.sign() * 1e4, teacher.sign() * 1e4
    elif kind == "saturated":
        teacher = torch.nn.functional.one_hot(torch.arange(6) % 5, 5).to(dtype) * 1e4
    student.requires_grad_()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        value = call(case, student, teacher, labels_of(student))
    value.backward()
    assert value.isfinite()
    assert value.item() >= 0
    assert student.grad.isfinite().all()


@EVERY
def test_a_class_that_the_teacher_excludes_contributes_nothing(case):
    student, teacher = pair(4, 6)
    teacher = teacher.clone()
    teacher[:, 5] = float("-inf")
    target = torch.tensor([0, 1, 2, 3])
    value = call(case, student, teacher, target)
    finite = teacher.clone()
    finite[:, 5] = -1e30
    torch.testing.assert_close(value, call(case, student, finite, target))
    assert torch.autograd.grad(value, student)[0].isfinite().all()


@EVERY
def test_a_teacher_that_went_wrong_shows_in_the_value(case):
    student, teacher = pair(4, 6)
    student = student.detach()
    target = labels_of(student)
    student[torch.arange(4), target] += 50  # right and sure: DCKD has nothing to add here
    teacher = teacher.clone()
    teacher[1, 2] = float("nan")
    assert call(case, student, teacher, target).isnan()


def test_kd_by_classes_is_the_official_division():
    """Over the number of samples, not of elements: torch's own ``batchmean``."""
    student, teacher = pair(5, 7)
    logs = [(x / 3).log_softmax(1) for x in (student, teacher)]
    official = 9 * torch.nn.functional.kl_div(*logs, reduction="batchmean", log_target=True)
    torch.testing.assert_close(kd_loss(student, teacher, tau=3.0), official)


def test_dkd_is_dckd_with_the_teachers_target_and_all_samples():
    student, teacher = pair(16, 6, dtype=torch.float32)
    target = labels_of(student)
    for hyper in ({}, {"alpha": 0.3, "beta": 2.0, "tau": 1.5}):
        both = [
            dkd_loss(student, teacher, target, **hyper),
            dckd_loss(student, teacher, target, target_reference="teacher", non_target="all", **hyper),
        ]
        gradients = [torch.autograd.grad(value, student)[0] for value in both]
        assert torch.equal(*both)
        assert torch.equal(*gradients)


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64])
def test_a_student_that_is_right_and_surer_gets_exactly_zero_loss_and_gradient(dtype):
    teacher = torch.randn(64, 7, dtype=torch.float64)
    target = labels_of(teacher)
    student = torch.randn(64, 7, dtype=torch.float64)
    student[torch.arange(64), target] = 12 + torch.rand(64, dtype=torch.float64)
    student = student.to(dtype).requires_grad_()
    value = dckd_loss(student, teacher.to(dtype), target)
    value.backward()
    assert value.item() == 0
    assert (student.grad == 0).all()
    assert dkd_loss(student, teacher.to(dtype), target).item() > 0.1


def test_dckd_equals_dkd_where_the_student_is_wrong_and_the_teacher_surer():
    student, teacher = pair(16, 6)
    target = labels_of(student)
    student, teacher = student.detach(), teacher.clone()
    student[torch.arange(16), target] = -20
    teacher[torch.arange(16), target] = 5
    torch.testing.assert_close(dckd_loss(student, teacher, target), dkd_loss(student, teacher, target), rtol=0, atol=0)


def test_nkd_with_the_legacy_mask_keeps_the_target_among_the_others():
    student, teacher = pair(6, 5)
    target = labels_of(student)
    full = -(teacher.softmax(1) * student.log_softmax(1)).sum(1).mean()
    no_others = nkd_loss(student, teacher, target, gamma=0.0)
    legacy = nkd_loss(student, teacher, target, gamma=2.0, legacy_mask=True)
    torch.testing.assert_close(legacy, no_others + 2 * full)
    assert not torch.isclose(legacy, nkd_loss(student, teacher, target, gamma=2.0))


def test_the_target_part_of_nkd_has_no_temperature():
    student, teacher = pair(6, 5)
    target = labels_of(student)
    values = [nkd_loss(student, teacher, target, gamma=0.0, tau=tau) for tau in (1.0, 4.0)]
    assert torch.equal(*values)


@pytest.mark.parametrize("case", ["dkd", "nkd", "dckd all"])
def test_two_classes_have_no_non_target_part_and_that_is_said_once(case, monkeypatch):
    monkeypatch.setattr(_divergence, "_said", set())
    student, teacher = pair(6, 2)
    target = labels_of(student)
    weightless = {"gamma": 0.0} if case == "nkd" else {"beta": 0.0}
    with pytest.warns(UserWarning, match="with two classes the non-target part"):
        value = call(case, student, teacher, target)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # said before, whatever the filters are
        torch.testing.assert_close(value, call(case, student, teacher, target, **weightless))
    assert torch.autograd.grad(value, student)[0].isfinite().all()


@pytest.mark.parametrize("case", ["kd", "kd sigmoid"])
def test_kd_works_with_one_class(case):
    student, teacher = pair(6, 1)
    values = expected(case, student, teacher, labels_of(student))
    assert call(case, student, teacher, None).item() == pytest.approx(math.fsum(values) / 6, abs=1e-12)


@pytest.mark.parametrize("case", ["dkd", "nkd", "dckd", "dckd none"])
def test_one_class_is_refused_where_others_are_needed(case):
    student, teacher = pair(6, 1)
    with pytest.raises(ValueError, match=r"logits_s must have at least two classes, got shape \(6, 1\)"):
        call(case, student, teacher, torch.zeros(6, dtype=torch.long))


@pytest.mark.parametrize(
    ("case", "kwargs", "error", "message"),
    [
        ("kd", {"activation": "softmx"}, ValueError, "activation = 'softmx': did you mean 'softmax'"),
        ("kd", {"tau": 0}, ValueError, "tau = 0: expected a finite number above 0"),
        ("kd", {"reduction": "batchmean"}, ValueError, "reduction = 'batchmean': .*'mean'"),
        ("dkd", {"alpha": -1.0}, ValueError, "alpha = -1.0: expected a finite number, 0 or above"),
        ("dkd", {"beta": float("nan")}, ValueError, "beta = nan"),
        ("nkd", {"gamma": -1.0}, ValueError, "gamma = -1.0"),
        ("nkd", {"tau": -2}, ValueError, "tau = -2"),
        ("dckd", {"target_reference": "bets"}, ValueError, "target_reference = 'bets': did you mean 'best'"),
        ("dckd", {"non_target": "every"}, ValueError, "non_target = 'every': .*'wrong'"),
        ("dkd", {"mask": torch.ones(4)}, TypeError, "mask must be of dtype torch.bool"),
        ("dkd", {"weight": torch.full((4,), -1.0)}, ValueError, "weight must be finite and 0 or above"),
        ("nkd", {"target": torch.ones(4)}, TypeError, "target must be integers, got torch.float32"),
        ("nkd", {"target": torch.ones(5, dtype=torch.long)}, ValueError, r"target must have shape .* = \(4,\)"),
        ("dckd", {"target": torch.tensor([0, 1, 2, 255])}, ValueError, r"target must be in \[0, 5\)"),
        ("kd", {"student": torch.ones(4, 6)}, ValueError, r"one shape, got \(4, 6\) and \(4, 5\)"),
        ("kd", {"student": [[1.0]]}, TypeError, "logits_s must be a tensor, got list"),
    ],
)
def test_a_wrong_argument_is_named(case, kwargs, error, message):
    arguments = {"student": torch.randn(4, 5), "target": torch.tensor([0, 1, 2, 3]), **kwargs}
    with pytest.raises(error, match=message):
        call(case, arguments.pop("student"), torch.randn(4, 5), arguments.pop("target"), **arguments)


def test_numbers_may_be_numpys_and_are_never_true():
    student, teacher = torch.randn(2, 3), torch.randn(2, 3)
    assert kd_loss(student, teacher, tau=np.float32(4)) == kd_loss(student, teacher, tau=4.0)
    with pytest.raises(ValueError, match="tau = True"):
        kd_loss(student, teacher, tau=True)


@pytest.mark.parametrize("name", ["mask", "weight"])
def test_a_mask_or_weight_that_is_no_tensor_is_named(name):
    with pytest.raises(TypeError, match=f"{name} must be a tensor, got list"):
        kd_loss(torch.randn(2, 3), torch.randn(2, 3), **{name: [True, True]})
