"""DIST against its definition in float64, and what it promises where the definition breaks down."""

from __future__ import annotations

import pytest
import torch
from helpers.processes import dist_loss_on_a_share, run_ranks
from helpers.tensors import pair, rows_of
from references import dist as reference

from mmdist.functional import _blocked, _cpu, dist_loss, relation

pytestmark = pytest.mark.usefixtures("form")  # every promise holds for both forms

SHAPES = [(6, 5), (2, 4, 7), (2, 3, 4, 5), (1, 2, 2, 3, 2)]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("activation", ["softmax", "sigmoid", "none"])
@pytest.mark.parametrize(("beta", "gamma", "tau"), [(1.0, 1.0, 1.0), (2.0, 0.5, 4.0), (0.0, 1.0, 1.0), (1.0, 0.0, 0.5)])
def test_the_value_is_that_of_the_definition(shape, activation, beta, gamma, tau):
    student, teacher = pair(*shape)
    value = dist_loss(student, teacher, inter_weight=beta, intra_weight=gamma, tau=tau, activation=activation)
    expected = reference.dist(rows_of(student), rows_of(teacher), beta, gamma, tau, activation)
    assert value.item() == pytest.approx(expected, rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("activation", ["softmax", "sigmoid", "none"])
def test_the_gradient_is_that_of_the_definition(activation):
    student, teacher = pair(3, 4, 2)
    dist_loss(student, teacher, tau=2.0, activation=activation).backward()
    for index in [(0, 0, 0), (1, 3, 1), (2, 2, 0)]:
        values = []
        for step in (1e-6, -1e-6):
            moved = student.detach().clone()
            moved[index] += step
            values.append(reference.dist(rows_of(moved), rows_of(teacher), tau=2.0, activation=activation))
        assert student.grad[index].item() == pytest.approx((values[0] - values[1]) / 2e-6, rel=1e-5, abs=1e-8)


@pytest.mark.parametrize("activation", ["softmax", "sigmoid", "none"])
@pytest.mark.parametrize(
    "options", [{}, {"mask": True}, {"weight": True}, {"mask": True, "weight": True}, {"tau": 3.0}]
)
def test_gradcheck_in_float64(activation, options):
    student, teacher = pair(2, 3, 2, 2)
    kwargs = dict(options)
    if options.get("mask"):
        kwargs["mask"] = torch.tensor([[[True, False], [True, True]], [[True, True], [False, True]]])
    if options.get("weight"):
        kwargs["weight"] = torch.rand(2, 2, 2, dtype=torch.float64) + 0.1
    assert torch.autograd.gradcheck(lambda s: dist_loss(s, teacher, activation=activation, **kwargs), (student,))


def test_a_map_is_its_pixels_as_rows():
    student, teacher = pair(2, 5, 3, 4, dtype=torch.float32)
    flat = [x.movedim(1, -1).reshape(-1, 5) for x in (student, teacher)]
    torch.testing.assert_close(dist_loss(student, teacher), dist_loss(*flat))


def test_memory_layout_does_not_matter():
    student, teacher = pair(2, 5, 3, 4)
    expected = dist_loss(student, teacher)
    channels_last = [x.detach().to(memory_format=torch.channels_last) for x in (student, teacher)]
    torch.testing.assert_close(dist_loss(*channels_last), expected)


def test_weights_and_masks_weigh_rows_and_columns():
    student, teacher = pair(2, 4, 3, 2)
    weight = torch.rand(2, 3, 2, dtype=torch.float64)
    mask = torch.rand(2, 3, 2) > 0.4
    value = dist_loss(student, teacher, mask=mask, weight=weight)
    expected = reference.dist(rows_of(student), rows_of(teacher), weights=(weight * mask).flatten().tolist())
    assert value.item() == pytest.approx(expected, rel=1e-9)


def test_a_weight_of_one_everywhere_changes_nothing():
    student, teacher = pair(2, 4, 3, 2)
    torch.testing.assert_close(dist_loss(student, teacher, weight=torch.ones(2, 3, 2)), dist_loss(student, teacher))


def test_masked_positions_may_hold_anything():
    student, teacher = pair(2, 4, 3, 2)
    mask = torch.ones(2, 3, 2, dtype=torch.bool)
    mask[0, 1] = False
    expected = dist_loss(student, teacher, mask=mask)
    poisoned = student.detach().clone()
    poisoned[0, :, 1] = float("nan")
    poisoned.requires_grad_()
    teacher = teacher.clone()
    teacher[0, :, 1] = float("inf")
    value = dist_loss(poisoned, teacher, mask=mask)
    value.backward()
    torch.testing.assert_close(value, expected)
    assert poisoned.grad.isfinite().all()
    assert (poisoned.grad[0, :, 1] == 0).all()


@pytest.mark.parametrize("shape", [(2, 4, 3, 2), (0, 4), (0, 4, 3, 2)])
def test_nothing_that_counts_gives_zero_loss_and_zero_gradient(shape):
    student, teacher = pair(*shape)
    mask = torch.zeros(shape[0], *shape[2:], dtype=torch.bool)
    for kwargs in ({"mask": mask}, {"weight": mask.double()}):
        value = dist_loss(student, teacher, **kwargs)
        value.backward()
        assert value.item() == 0
        assert (student.grad == 0).all()


def test_identical_networks_give_zero():
    _, teacher = pair(4, 6)
    assert dist_loss(teacher, teacher).item() == pytest.approx(0, abs=1e-6)


def test_adding_a_constant_to_a_row_changes_nothing():
    student, teacher = pair(4, 6)
    torch.testing.assert_close(dist_loss(student + torch.randn(4, 1), teacher), dist_loss(student, teacher))


def test_student_and_teacher_can_be_swapped():
    student, teacher = pair(4, 6)
    torch.testing.assert_close(dist_loss(student, teacher), dist_loss(teacher, student))


def test_the_order_of_samples_and_classes_does_not_matter():
    student, teacher = pair(8, 6)
    rows, columns = torch.randperm(8), torch.randperm(6)
    shuffled = [x[rows][:, columns] for x in (student, teacher)]
    torch.testing.assert_close(dist_loss(*shuffled), dist_loss(student, teacher))


def test_tau_squared_is_a_factor():
    student, teacher = pair(4, 6)
    torch.testing.assert_close(
        dist_loss(student, teacher, tau=4.0), 16 * dist_loss(student, teacher, tau=4.0, tau_squared=False)
    )


def test_the_teacher_never_gets_a_gradient():
    student, teacher = pair(4, 6)
    teacher.requires_grad_()
    dist_loss(student, teacher).backward()
    assert teacher.grad is None
    assert student.grad.abs().sum() > 0


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("activation", ["softmax", "sigmoid"])
def test_half_precision_inputs_are_computed_in_float32(dtype, activation):
    student, teacher = pair(32, 50, dtype=dtype)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        value = dist_loss(student, teacher, activation=activation)
    value.backward()
    expected = reference.dist(rows_of(student), rows_of(teacher), activation=activation)
    assert value.dtype == torch.float32
    assert value.item() == pytest.approx(expected, rel=1e-5)
    assert student.grad.dtype == dtype


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("activation", ["softmax", "sigmoid", "none"])
@pytest.mark.parametrize(
    "kind", ["one row", "one pixel", "one class", "two classes", "constant", "zeros", "huge", "saturated teacher"]
)
def test_value_and_gradient_are_always_finite(kind, activation, dtype):
    shape = {"one row": (1, 5), "one pixel": (1, 5, 1, 1), "one class": (6, 1), "two classes": (6, 2)}.get(kind, (6, 5))
    student, teacher = pair(*shape, dtype=dtype)
    student = student.detach()
    if kind in ("constant", "zeros"):
        student = torch.full_like(student, 3.0 if kind == "constant" else 0.0)
    elif kind == "huge":
        student, teacher = student.sign() * 1e4, teacher.sign() * 1e4
    elif kind == "saturated teacher":
        teacher = torch.nn.functional.one_hot(torch.arange(6) % 5, 5).to(dtype) * 100
    student.requires_grad_()
    value = dist_loss(student, teacher, activation=activation)
    value.backward()
    assert value.isfinite()
    assert -1e-3 <= value.item() <= 4.001
    assert student.grad.isfinite().all()


def test_a_nearly_constant_student_gets_no_exploding_gradient():
    teacher = torch.randn(4, 5)
    for spread, guarded in ((1e-6, True), (1e-5, True), (1e-1, False)):
        student = (torch.randn(4, 5, generator=torch.Generator().manual_seed(1)) * spread).requires_grad_()
        free = student.detach().clone().requires_grad_()
        value = dist_loss(student, teacher)
        unguarded = dist_loss(free, teacher, guard_rel=0)
        value.backward()
        unguarded.backward()
        torch.testing.assert_close(value, unguarded, rtol=0, atol=0)  # the value does not change
        if guarded:
            assert (student.grad == 0).all()
            assert free.grad.abs().max() > 1e3
        else:
            torch.testing.assert_close(student.grad, free.grad)


def test_eps_is_added_to_the_product_of_the_norms():
    student, teacher = pair(3, 4, dtype=torch.float64, scale=0.1)
    student, teacher = student.detach() - 12, teacher - 12  # scores near 6e-6: eps dominates
    value = dist_loss(student, teacher, activation="sigmoid", intra_weight=0)
    expected = reference.dist(rows_of(student), rows_of(teacher), gamma=0, activation="sigmoid")
    assert value.item() == pytest.approx(expected, rel=1e-9)
    assert value.item() > 0.99  # the true distance would be anywhere in [0, 2]


@pytest.mark.parametrize("sizes", [[2, 2], [3, 1], [4, 0], [1, 2, 0, 1]])
def test_several_processes_with_a_group_equal_one_on_the_global_batch(sizes, tmp_path, form):
    if form == "plain":
        pytest.skip("a group is served by the streaming form")
    student, teacher = pair(4, 3, 2, 2)
    mask = torch.rand(4, 2, 2) > 0.3
    value = dist_loss(student, teacher, mask=mask)
    value.backward()

    results = run_ranks(dist_loss_on_a_share, len(sizes), tmp_path, sizes, student.detach(), teacher, mask)
    for rank_value, _ in results:
        assert rank_value.item() == pytest.approx(value.item(), abs=1e-8)
    averaged = torch.cat([gradient for _, gradient in results]) / len(sizes)  # DDP averages
    torch.testing.assert_close(averaged, student.grad, rtol=0, atol=1e-8)


def test_accumulated_steps_equal_one_batch_between_classes_and_not_inside_them():
    student, teacher = pair(4, 5, 3)
    for weights, same in (({"intra_weight": 0.0}, True), ({"inter_weight": 0.0}, False)):
        whole = torch.autograd.grad(dist_loss(student, teacher, **weights), student)[0]
        steps = [dist_loss(s, t, **weights) / 2 for s, t in zip(student.chunk(2), teacher.chunk(2), strict=True)]
        accumulated = torch.autograd.grad(sum(steps), student)[0]
        assert torch.allclose(accumulated, whole) is same


@pytest.mark.parametrize(
    ("kwargs", "error", "message"),
    [
        ({"logits_s": [[1.0]]}, TypeError, "logits_s must be a tensor, got list"),
        ({"logits_s": torch.ones(4, 5, dtype=torch.int64)}, TypeError, "floating-point dtype, got torch.int64"),
        ({"logits_s": torch.ones(4)}, ValueError, r"must be \(N, C\) or \(N, C, \*spatial\), got shape \(4,\)"),
        ({"logits_s": torch.ones(4, 6)}, ValueError, r"one shape, got \(4, 6\) and \(4, 5\)"),
        ({"activation": "softmx"}, ValueError, "did you mean 'softmax'"),
        ({"tau": 0.0}, ValueError, "tau = 0.0: expected a finite number above 0"),
        ({"inter_weight": -1.0}, ValueError, "inter_weight = -1.0"),
        ({"mask": torch.ones(4)}, TypeError, "mask must be of dtype torch.bool"),
        ({"mask": torch.ones(5, dtype=torch.bool)}, ValueError, r"mask must have shape .* = \(4,\), got \(5,\)"),
        ({"weight": torch.full((4,), -1.0)}, ValueError, "weight must be finite and 0 or above"),
        ({"weight": torch.ones(4, dtype=torch.int64)}, TypeError, "weight must be of a floating-point dtype"),
    ],
)
def test_a_wrong_argument_is_named(kwargs, error, message):
    arguments = {"logits_s": torch.randn(4, 5), "logits_t": torch.randn(4, 5), **kwargs}
    with pytest.raises(error, match=message):
        dist_loss(arguments.pop("logits_s"), arguments.pop("logits_t"), **arguments)


@pytest.mark.parametrize("layout", ["contiguous", "channels_last", "transposed", "expanded", "rows"])
def test_any_strides_give_the_same_value_and_gradient(layout):
    student, teacher = (x.detach() for x in pair(2, 5, 3, 4))
    if layout == "expanded":
        student, teacher = (x[:1].expand(2, -1, -1, -1) for x in (student, teacher))
    if layout == "rows":
        student, teacher = (x.movedim(1, -1).reshape(-1, 5) for x in (student, teacher))
    plain = student.clone(memory_format=torch.contiguous_format).requires_grad_()
    expected = dist_loss(plain, teacher.contiguous())
    expected.backward()
    if layout == "channels_last":
        student, teacher = (x.to(memory_format=torch.channels_last) for x in (student, teacher))
    elif layout == "transposed":
        student, teacher = (x.transpose(2, 3).contiguous().transpose(2, 3) for x in (student, teacher))
    student = student.detach().requires_grad_()
    value = dist_loss(student, teacher)
    value.backward()
    torch.testing.assert_close(value, expected)
    torch.testing.assert_close(student.grad, plain.grad)


def test_the_size_of_the_blocks_does_not_change_the_result(monkeypatch):
    student, teacher = pair(2, 5, 7, 9, dtype=torch.float32)
    mask = torch.rand(2, 7, 9) > 0.5
    results = []
    for block in (5, 37, 1 << 20):
        monkeypatch.setattr(_blocked, "BLOCK", block)
        value = dist_loss(student, teacher, mask=mask)
        results.append((value, torch.autograd.grad(value, student)[0]))
    for value, gradient in results[1:]:
        torch.testing.assert_close(value, results[0][0])
        torch.testing.assert_close(gradient, results[0][1])


def test_nothing_but_the_inputs_and_numbers_a_class_is_kept_for_backward(form):
    if form == "plain":
        pytest.skip("autograd keeps what it needs")
    student, teacher = pair(2, 5, 16, 16, dtype=torch.float32)
    kept = []
    with torch.autograd.graph.saved_tensors_hooks(lambda x: kept.append(x) or x, lambda x: x):
        dist_loss(student, teacher)
    own = [x for x in kept if x.data_ptr() not in (student.data_ptr(), teacher.data_ptr())]
    assert sum(x.numel() for x in own) <= 5 * 5 + 1


def test_a_second_derivative_is_refused_and_not_wrong(form):
    if form == "plain":
        pytest.skip("autograd has it")
    student, teacher = pair(2, 5, 3)
    with pytest.raises(NotImplementedError, match="no second derivative"):
        torch.autograd.grad(dist_loss(student, teacher), student, create_graph=True)


def test_an_incoming_gradient_scales_the_gradient():
    student, teacher = pair(2, 5, 3)
    once, thrice = (torch.autograd.grad(factor * dist_loss(student, teacher), student)[0] for factor in (1, 3))
    torch.testing.assert_close(3 * once, thrice)


@pytest.mark.parametrize("shape", [(4, 0), (2, 0, 3, 3)])
def test_logits_without_a_class_are_an_error_that_says_so(shape, form):
    with pytest.raises(ValueError, match="logits_s must have at least one class"):
        dist_loss(torch.zeros(shape, requires_grad=True), torch.zeros(shape))


@pytest.mark.parametrize("shape", [(0, 5), (0, 5, 4, 4), (2, 5, 0, 3)])
def test_an_empty_batch_gives_0_and_an_empty_gradient(shape, form):
    student = torch.zeros(shape, requires_grad=True)
    loss = dist_loss(student, torch.zeros(shape))
    loss.backward()
    assert loss.item() == 0
    assert student.grad.shape == shape


@pytest.mark.slow
def test_compiled_equals_eager():
    student, teacher = pair(2, 5, 8, 8, dtype=torch.float32)
    for kwargs in ({}, {"activation": "sigmoid", "tau": 2.0}, {"mask": torch.rand(2, 8, 8) > 0.5}):
        expected = dist_loss(student, teacher, **kwargs)
        value = torch.compile(dist_loss, fullgraph=True)(student, teacher, **kwargs)
        torch.testing.assert_close(value, expected)
        torch.testing.assert_close(*(torch.autograd.grad(x, student)[0] for x in (value, expected)))


CONSTANT = {
    "one row for all samples": (lambda: torch.randn(1, 10).expand(8, 10), "softmax"),
    "no opinion": (lambda: torch.zeros(8, 10), "softmax"),
    "one score": (lambda: torch.full((8, 10), 0.3), "none"),
    "one score, one-vs-rest": (lambda: torch.full((8, 10), -2.3), "sigmoid"),
}


@pytest.mark.parametrize("case", CONSTANT)
@pytest.mark.parametrize("weighted", [False, True])
def test_a_constant_teacher_gives_no_gradient_that_is_made_of_rounding(case, weighted):
    make, activation = CONSTANT[case]
    torch.manual_seed(0)
    student, teacher = torch.randn(8, 10), make().contiguous()
    weight = torch.rand(8) + 0.5 if weighted else None

    def gradient(dtype):
        logits = student.detach().to(dtype).clone().requires_grad_()
        kwargs = dict(activation=activation, weight=None if weight is None else weight.to(dtype))
        dist_loss(logits, teacher.to(dtype), **kwargs).backward()
        return logits.grad

    torch.testing.assert_close(gradient(torch.float32).double(), gradient(torch.float64), rtol=1e-4, atol=1e-7)


def test_a_teacher_that_is_not_quite_constant_still_teaches():
    student, teacher = torch.randn(8, 10, requires_grad=True), 0.3 + 1e-5 * torch.randn(8, 10)
    dist_loss(student, teacher, activation="none").backward()
    assert student.grad.abs().max() > 1e-3


def test_the_formula_has_a_second_derivative(monkeypatch):
    monkeypatch.setattr(relation, "PLAIN_BELOW", 1 << 40)
    monkeypatch.setattr(_cpu, "available", lambda *maps: False)
    student, teacher = pair(4, 5)
    assert torch.autograd.gradgradcheck(lambda logits: dist_loss(logits, teacher), student)
