"""Every loss on every kind of tensor that PyTorch has, against the same numbers in an ordinary tensor."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.autograd.forward_ad as forward_ad
from helpers.every import assert_each
from torch import Tensor
from torch.fx.experimental.proxy_tensor import make_fx
from torch.utils.checkpoint import checkpoint

from mmdist import functional as F

Loss = Callable[[Tensor, Tensor], Tensor]
GENERATOR = torch.Generator().manual_seed(0)
SHAPE = (2, 5, 3, 4)
STUDENT, TEACHER = torch.randn(2, *SHAPE, generator=GENERATOR)
TARGET = torch.randint(0, 5, (2, 3, 4), generator=GENERATOR)
WEIGHT = torch.rand(2, 3, 4, generator=GENERATOR)
LABEL = torch.randint(0, 5, (2, 7, 9), generator=GENERATOR)


def sdd(base: str) -> Loss:
    """SDD's loss on maps as if they were regions."""
    return lambda s, t: F.sdd_loss(s.flatten(2), t.flatten(2), TARGET.flatten(1), base=base)


def rdd(s: Tensor, t: Tensor) -> Tensor:
    """RDD has no gradient: what it weighs is."""
    weight = F.rdd_teacher_weight(t, t.roll(1, 0), size=(7, 9)) + F.entropy_weight(t, size=(7, 9))
    weight = weight + F.rdd_relative_mask(t, -t, LABEL, min_kept=9) + F.label_probability(t, LABEL)
    return (s.amax(1) * weight[:, ::2, ::2][:, :3, :4]).sum()


LOSSES: dict[str, Loss] = {
    "dist": F.dist_loss,
    "dist-weighted": lambda s, t: F.dist_loss(s, t, weight=WEIGHT, tau=2.0),
    "dist-sigmoid": lambda s, t: F.dist_loss(s, t, activation="sigmoid"),
    "channel relation": F.channel_relation_loss,
    "spatial relation": F.spatial_relation_loss,
    "acclimation": lambda s, t: F.acclimation_loss(s, t, TARGET),
    "kd": F.kd_loss,
    "kd-weighted": lambda s, t: F.kd_loss(s, t, weight=WEIGHT, tau=2.0),
    "kd-sigmoid": lambda s, t: F.kd_loss(s, t, activation="sigmoid"),
    "dkd": lambda s, t: F.dkd_loss(s, t, TARGET),
    "nkd": lambda s, t: F.nkd_loss(s, t, TARGET),
    "dckd": lambda s, t: F.dckd_loss(s, t, TARGET),
    **{f"sdd-{base}": sdd(base) for base in ("kd", "dkd", "nkd", "dckd")},
    "rdd": rdd,
}

ONE_FORM = [name for name in LOSSES if name.startswith(("kd", "dkd", "nkd", "dckd", "sdd"))]


def of(form: str) -> list[str]:
    """The losses to try in a form: those that have one form alone are tried once."""
    return [name for name in LOSSES if form == "plain" or name not in ONE_FORM]


def value_and_gradient(loss: Loss, student: Tensor, teacher: Tensor) -> tuple[Tensor, Tensor]:
    student = student.detach().requires_grad_()
    value = loss(student, teacher)
    value.backward()
    return value.detach(), student.grad


def made_in_inference_mode(z: Tensor) -> Tensor:
    with torch.inference_mode():
        return z.clone()


def far_apart(z: Tensor) -> Tensor:
    """The same values, more than 2^31 elements from the first to the last; untouched memory costs nothing."""
    step = (1 << 31) // 10
    memory = torch.empty(10 * step + 100, dtype=torch.bfloat16)
    far = memory.as_strided(z.shape, (5 * step, step, 4, 1))
    return far.copy_(z.bfloat16())


TEACHERS: dict[str, tuple[Callable[[Tensor], Tensor], Callable[[Tensor], Tensor]]] = {  # made so, the same numbers
    "inference mode": (made_in_inference_mode, torch.clone),
    "zeros without memory": (lambda z: torch._efficientzerotensor(z.shape), torch.zeros_like),
    "negated view": (torch._neg_view, torch.neg),
    "imaginary part of a conjugate": (lambda z: torch.complex(z, z).conj().imag, torch.neg),
    "expanded": (lambda z: z[:1, :, :1].expand(z.shape), lambda z: z[:1, :, :1].repeat(2, 1, 3, 1)),
    "overlapping": (
        lambda z: z.flatten().as_strided(z.shape, (3, 2, 1, 1)),
        lambda z: z.flatten().as_strided(z.shape, (3, 2, 1, 1)).clone(),
    ),
    "every second": (lambda z: torch.stack([z, -z], -1)[..., 0], torch.clone),
    "channels last": (lambda z: z.to(memory_format=torch.channels_last), torch.clone),
    "far apart": (far_apart, lambda z: z.bfloat16().clone()),
    "parameter": (torch.nn.Parameter, torch.clone),
    "subclass": (lambda z: z.as_subclass(type("Mine", (torch.Tensor,), {})), torch.clone),
}


@pytest.mark.parametrize("kind", TEACHERS)
def test_the_teacher_may_be_any_tensor(kind, form):
    make, same = TEACHERS[kind]

    def check(name):
        expected = value_and_gradient(LOSSES[name], STUDENT, same(TEACHER))
        got = value_and_gradient(LOSSES[name], STUDENT, make(TEACHER))
        for a, b in zip(got, expected, strict=True):
            torch.testing.assert_close(a.as_subclass(Tensor), b, rtol=1e-4, atol=1e-6)

    assert_each(of(form), check)


STUDENTS: dict[str, Callable[[Tensor], Tensor]] = {
    "negated view": lambda z: torch._neg_view(-z),
    "imaginary part of a conjugate": lambda z: torch.complex(z, -z).conj().imag,
    "expanded": lambda z: torch.stack([z, z])[:1].expand(2, *z.shape)[1],
    "channels last": lambda z: z.to(memory_format=torch.channels_last),
    "every second": lambda z: torch.stack([z, -z], -1)[..., 0],
}


@pytest.mark.parametrize("kind", STUDENTS)
def test_the_student_may_be_any_tensor(kind, form):
    def check(name):
        loss = LOSSES[name]
        expected = value_and_gradient(loss, STUDENT, TEACHER)
        got = value_and_gradient(lambda s, t: loss(STUDENTS[kind](s), t), STUDENT, TEACHER)
        torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-6)

    assert_each(of(form), check)


def by_func_grad(loss: Loss) -> Tensor:
    return torch.func.grad(lambda s: loss(s, TEACHER))(STUDENT)


def by_forward_mode(loss: Loss) -> Tensor:
    with forward_ad.dual_level():
        return forward_ad.unpack_dual(loss(forward_ad.make_dual(STUDENT, TEACHER), TEACHER)).tangent


def by_batched_gradients(loss: Loss) -> Tensor:
    student = STUDENT.clone().requires_grad_()
    several = torch.tensor([1.0, 3.0])
    return torch.autograd.grad(loss(student, TEACHER), student, several, is_grads_batched=True)[0]


def by_checkpoint(reentrant: bool) -> Callable[[Loss], Tensor]:
    def compute(loss: Loss) -> Tensor:
        teacher = made_in_inference_mode(TEACHER)
        student = STUDENT.clone().requires_grad_()
        checkpoint(lambda s: loss(1 * s, teacher), student, use_reentrant=reentrant).backward()
        return student.grad

    return compute


def by_trace(trace: Callable[[Loss], Callable[[Tensor], Tensor]]) -> Callable[[Loss], Tensor]:
    """Traced on other numbers: a kernel that the tracer does not see would leave a constant."""
    return lambda loss: trace(lambda s: loss(s, TEACHER))(STUDENT)


GRADIENT = lambda value, gradient: gradient  # noqa: E731
WAYS: dict[str, tuple[Callable[[Loss], Tensor], Callable[[Tensor, Tensor], Tensor]]] = {  # and what it has to be
    "func.grad": (by_func_grad, GRADIENT),
    "vmap": (lambda loss: torch.func.vmap(lambda s: loss(s, TEACHER))(STUDENT[None])[0], lambda value, _: value),
    "forward mode": (by_forward_mode, lambda _, gradient: (gradient * TEACHER).sum()),
    "batched gradients": (by_batched_gradients, lambda _, gradient: torch.stack([gradient, 3 * gradient])),
    "checkpoint": (by_checkpoint(False), GRADIENT),
    "re-entrant checkpoint": (by_checkpoint(True), GRADIENT),
    "make_fx": (by_trace(lambda f: make_fx(f)(STUDENT * 2)), lambda value, _: value),
    "jit.trace": (
        by_trace(lambda f: torch.jit.trace(f, (STUDENT * 2,), check_trace=False)),
        lambda value, _: value,
    ),
    "inference mode": (lambda loss: torch.inference_mode()(loss)(STUDENT, TEACHER), lambda value, _: value),
}
DATA_DEPENDENT = {"make_fx"}  # RDD takes the k hardest, which no trace can hold


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("way", WAYS)
def test_every_way_of_pytorch_to_run_or_differentiate_gives_the_same(way, form):
    compute, expected = WAYS[way]

    def check(name):
        wanted = expected(*value_and_gradient(LOSSES[name], STUDENT, TEACHER))
        torch.testing.assert_close(compute(LOSSES[name]), wanted, rtol=1e-4, atol=1e-6)

    assert_each([name for name in of(form) if name != "rdd" or way not in DATA_DEPENDENT], check)


@pytest.mark.parametrize("default", ["float64", "float16", "another device"])
def test_the_defaults_of_the_process_change_nothing(default, form):
    def check(name):
        expected = value_and_gradient(LOSSES[name], STUDENT, TEACHER)
        try:
            if default == "another device":
                torch.set_default_device("meta")
            else:
                torch.set_default_dtype(getattr(torch, default))
            got = value_and_gradient(LOSSES[name], STUDENT, TEACHER)
        finally:
            torch.set_default_device(None)
            torch.set_default_dtype(torch.float32)
        torch.testing.assert_close(got, expected, rtol=0, atol=0)

    assert_each(of(form), check)


@pytest.mark.parametrize("kind", ["inference mode", "zeros without memory", "negated view"])
@pytest.mark.parametrize("loss", [F.dist_loss, F.kd_loss])
def test_the_weight_may_be_any_tensor(kind, loss, form):
    make, same = TEACHERS[kind]
    weight = WEIGHT if kind != "negated view" else -WEIGHT
    expected = value_and_gradient(lambda s, t: loss(s, t, weight=same(weight)), STUDENT, TEACHER)
    got = value_and_gradient(lambda s, t: loss(s, t, weight=make(weight)), STUDENT, TEACHER)
    torch.testing.assert_close(got, expected)


@pytest.mark.parametrize("size", [(3, 4), (7, 9)])
def test_logits_and_labels_of_the_label_probability_may_be_any_tensor(size):
    label = torch.randint(0, 5, (2, *size))
    zeros = torch.zeros_like(label)
    pairs = [
        (torch._neg_view(TEACHER), label, -TEACHER, label),
        (torch._efficientzerotensor(SHAPE), label, torch.zeros(SHAPE), label),
        (TEACHER, torch._neg_view(-label), TEACHER, label),
        (TEACHER, torch._efficientzerotensor(label.shape, dtype=torch.long), TEACHER, zeros),
        (made_in_inference_mode(TEACHER), made_in_inference_mode(label), TEACHER, label),
    ]
    for logits, labels, same_logits, same_labels in pairs:
        got, expected = F.label_probability(logits, labels), F.label_probability(same_logits, same_labels)
        torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-6)


LAYOUTS = {
    "sparse": Tensor.to_sparse,
    "mkldnn": Tensor.to_mkldnn,
    "nested": lambda z: torch.nested.nested_tensor(list(z.unbind())),
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_tensor_that_is_not_dense_is_refused_by_name(layout):
    def check(name):
        with pytest.raises(TypeError, match=r"(logits_s|logits_t|feat_t) must be a dense tensor, got "):
            LOSSES[name](STUDENT, LAYOUTS[layout](TEACHER))

    assert_each([name for name in LOSSES if not name.startswith(("sdd", "rdd"))], check)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("layout", LAYOUTS)
def test_rdd_refuses_a_tensor_that_is_not_dense_by_name(layout):
    other = LAYOUTS[layout](TEACHER)
    for name, call in {
        "aux_t": lambda: F.rdd_teacher_weight(TEACHER, other),
        "logits_t": lambda: F.entropy_weight(other),
        "logits": lambda: F.label_probability(other, LABEL),
        "x": lambda: F.pool_regions(other),
    }.items():
        with pytest.raises(TypeError, match=rf"{name} must be (a dense tensor|integers), got "):
            call()


@pytest.mark.parametrize("name", ["dist", "channel relation", "spatial relation", "kd", "kd-weighted"])
def test_tensors_without_values_have_a_loss_without_a_value(name, form, monkeypatch):
    monkeypatch.setattr(f"{__name__}.WEIGHT", WEIGHT.to("meta"))
    value = LOSSES[name](STUDENT.to("meta").requires_grad_(), TEACHER.to("meta"))
    assert value.is_meta and value.shape == () and value.requires_grad
