"""What every registered loss promises. A loss without an entry in the table fails the first test."""

from __future__ import annotations

import copy
import pickle
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

import pytest
import torch
from mmengine.logging import MessageHub
from mmengine.registry import MODELS as ROOT_MODELS
from torch import Tensor

import mmdist.models  # noqa: F401  (registers)
from mmdist.registry import MODELS

CLASSES = 5


@dataclass(frozen=True)
class Entry:
    """How a loss is called, and which of the general promises it makes.

    Args:
        shapes (dict): Shape of the predictions by kind of label: a class a sample, or a label map.
        learner (str): Name of the argument that the gradient goes to; ``reference`` is the other one.
        reference (str): See ``learner``.
        labels (str): ``optional``, or ``needed``.
        zero (bool): Identical networks give 0.
    """

    shapes: dict[str, tuple[int, ...]] = field(
        default_factory=lambda: {"class": (4, CLASSES), "map": (2, CLASSES, 4, 4)}
    )
    learner: str = "preds_S"
    reference: str = "preds_T"
    labels: str = "optional"
    zero: bool = True


FEATURES = {"map": (2, CLASSES, 4, 4)}
REGIONS = {"class": (4, CLASSES, 21), "map": (2, CLASSES, 21)}
TABLE = {
    "AcclimationLoss": Entry(learner="preds_T", reference="preds_S", labels="needed"),
    "ChannelRelationLoss": Entry(FEATURES),
    "DCKDLoss": Entry(labels="needed"),
    "DISTLoss": Entry(learner="logits_S", reference="logits_T"),
    "DKDLoss": Entry(labels="needed"),
    "KDLoss": Entry(),
    "NKDLoss": Entry(labels="needed", zero=False),
    "SDDLoss": Entry(REGIONS, labels="needed"),
    "SpatialRelationLoss": Entry(FEATURES),
}
EVERY = pytest.mark.parametrize("name", list(TABLE))
CALLS = [(name, kind) for name, entry in TABLE.items() for kind in entry.shapes]
EVERY_CALL = pytest.mark.parametrize(("name", "kind"), CALLS)


def registered() -> set[str]:
    """The losses that a config can name."""
    return {name for name, kind in MODELS.module_dict.items() if kind.__module__.startswith("mmdist.models.losses")}


def build(name: str, **arguments: Any) -> torch.nn.Module:
    return MODELS.build(dict(type=f"mmdist.{name}", **arguments))


def predictions(name: str, kind: str, size: int | None = None) -> tuple[Tensor, Tensor]:
    shape = TABLE[name].shapes[kind]
    shape = shape if size is None else (size, *shape[1:])
    return torch.randn(*shape) * 2, torch.randn(*shape) * 2


def labels_for(kind: str, size: int) -> Tensor:
    return torch.randint(0, CLASSES, (size,) if kind == "class" else (size, 4, 4))


def value(loss: torch.nn.Module, learner: Tensor, reference: Tensor, labels: Tensor | None) -> Tensor:
    entry = TABLE[type(loss).__name__]
    given = {} if labels is None else {"gt_labels": labels}
    return loss(**{entry.learner: learner, entry.reference: reference}, **given)


def test_the_table_has_every_registered_loss():
    assert registered() == set(TABLE)


@EVERY
@pytest.mark.parametrize("scope", ["mmengine", "mmdet", "mmseg", "mmpretrain", "mmrazor"])
def test_every_librarys_registry_finds_it_by_its_prefixed_name(name, scope):
    models = ROOT_MODELS if scope == "mmengine" else import_module(f"{scope}.registry").MODELS
    assert type(models.build(dict(type=f"mmdist.{name}"))) is MODELS.get(name)


@EVERY_CALL
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("case", ["usual", "one sample", "constant", "zeros", "plus and minus 100"])
def test_value_and_gradient_are_finite(name, kind, dtype, case):
    learner, reference = predictions(name, kind, 1 if case == "one sample" else None)
    if case in ("constant", "zeros"):
        learner = torch.full_like(learner, 3.0 if case == "constant" else 0.0)
    elif case == "plus and minus 100":
        learner, reference = learner.sign() * 100, reference.sign() * 100
    learner = learner.to(dtype).requires_grad_()
    loss = value(build(name), learner, reference.to(dtype), labels_for(kind, len(learner)))
    loss.backward()
    assert loss.shape == ()
    assert loss.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
    assert loss.isfinite()
    assert learner.grad.isfinite().all()
    assert learner.grad.dtype == dtype


@EVERY_CALL
def test_autocast_changes_nothing(name, kind):
    learner, reference = predictions(name, kind)
    labels = labels_for(kind, len(learner))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside = value(build(name), learner, reference, labels)
    assert torch.equal(inside, value(build(name), learner, reference, labels))


@EVERY_CALL
def test_one_network_learns_and_the_other_gets_no_gradient(name, kind):
    learner, reference = (x.requires_grad_() for x in predictions(name, kind))
    value(build(name), learner, reference, labels_for(kind, len(learner))).backward()
    assert learner.grad.abs().sum() > 0
    assert reference.grad is None


def test_the_learning_network_is_the_student_but_for_the_one_loss_that_trains_the_teacher():
    teachers = {name for name, entry in TABLE.items() if entry.learner.endswith("_T")}
    assert teachers == {"AcclimationLoss"}


@EVERY_CALL
def test_identical_networks_give_zero_where_the_method_says_so(name, kind):
    learner, _ = predictions(name, kind)
    loss = value(build(name), learner, learner, labels_for(kind, len(learner)))
    assert (abs(loss.item()) < 1e-5) is TABLE[name].zero


@EVERY_CALL
def test_the_weight_of_the_loss_scales_it(name, kind):
    learner, reference = predictions(name, kind)
    labels = labels_for(kind, len(learner))
    once, thrice, never = (
        value(build(name, loss_weight=weight), learner, reference, labels) for weight in (1.0, 3.0, 0.0)
    )
    torch.testing.assert_close(thrice, 3 * once)
    assert once.item() > 0
    assert never.item() == 0


@EVERY_CALL
@pytest.mark.parametrize(("argument", "key"), [("warmup_epochs", "epoch"), ("warmup_iters", "iter")])
def test_the_warm_up_scales_it(name, kind, argument, key):
    learner, reference = predictions(name, kind)
    labels = labels_for(kind, len(learner))
    full = value(build(name), learner, reference, labels)
    hub = MessageHub.get_instance("every loss")
    try:
        hub.update_info(key, 1)
        torch.testing.assert_close(value(build(name, **{argument: 8}), learner, reference, labels), full / 4)
    finally:
        MessageHub._instance_dict.pop("every loss")


@EVERY
def test_a_weight_that_cannot_be_is_refused(name):
    for wrong in (-1, float("nan"), float("inf"), "1"):
        with pytest.raises(ValueError, match=rf"{name}.loss_weight = "):
            build(name, loss_weight=wrong)


@EVERY_CALL
def test_a_copy_and_a_pickle_give_the_same_value(name, kind):
    learner, reference = predictions(name, kind)
    labels = labels_for(kind, len(learner))
    loss = build(name)
    expected = value(loss, learner, reference, labels)
    for other in (copy.deepcopy(loss), pickle.loads(pickle.dumps(loss))):
        assert torch.equal(value(other, learner, reference, labels), expected)


@EVERY
def test_it_has_no_weights_and_nothing_in_the_checkpoint(name):
    assert not build(name).state_dict()


@EVERY_CALL
def test_ignored_labels_do_not_count(name, kind):
    learner, reference = predictions(name, kind)
    labels = labels_for(kind, len(learner))
    labels[1] = 255  # a whole sample: it is as if it were not there
    others = [i for i in range(len(learner)) if i != 1]
    expected = value(build(name), learner[others], reference[others], labels[others])
    learner, reference = learner.clone(), reference.clone()
    learner[1] = float("nan")
    learner.requires_grad_()
    loss = value(build(name), learner, reference, labels)
    loss.backward()
    torch.testing.assert_close(loss, expected)
    assert (learner.grad[1] == 0).all()


@EVERY_CALL
def test_labels_that_are_all_ignored_give_zero_and_no_gradient(name, kind):
    learner, reference = predictions(name, kind)
    learner.requires_grad_()
    loss = value(build(name), learner, reference, torch.full_like(labels_for(kind, len(learner)), 255))
    loss.backward()
    assert loss.item() == 0
    assert (learner.grad == 0).all()


@EVERY_CALL
def test_labels_are_optional_or_asked_for(name, kind):
    learner, reference = predictions(name, kind)
    if TABLE[name].labels == "optional":
        everywhere = labels_for(kind, len(learner))
        without = value(build(name), learner, reference, None)
        torch.testing.assert_close(without, value(build(name), learner, reference, everywhere))
    else:
        with pytest.raises((TypeError, ValueError), match="labels"):
            value(build(name), learner, reference, None)


CLASS_255 = [name for name in MODELS.module_dict if name in ("KDLoss", "DKDLoss", "NKDLoss", "DCKDLoss", "DISTLoss")]


@pytest.mark.parametrize("name", [*CLASS_255, "AcclimationLoss", "SDDLoss"])
def test_label_255_counts_where_it_is_a_class_and_does_not_where_it_is_none(name):
    def value(classes, label, **options):
        torch.manual_seed(0)
        student, teacher = torch.randn(8, classes, requires_grad=True), torch.randn(8, classes, requires_grad=True)
        labels = torch.full((8,), label)
        labels[:2] = 3
        pair = (t.unsqueeze(2) if name == "SDDLoss" else t for t in (student, teacher))
        return MODELS.get(name)(**options)(*pair, labels)

    options = dict(base=dict(type="mmdist.KDLoss", ignore_index=255)) if name == "SDDLoss" else dict(ignore_index=255)
    everything, without = value(1000, 255), value(1000, 255, **options)
    assert everything != without  # asked for, it does not count
    assert value(19, 255) == value(19, 255, **options)


@pytest.mark.parametrize("name", ["DISTLoss", "KDLoss", "DKDLoss", "AcclimationLoss"])
def test_soft_labels_leave_nothing_out(name):
    student, teacher = torch.randn(8, 300), torch.randn(8, 300)
    soft = torch.zeros(8, 300)
    soft[:, 255] = 1
    loss = MODELS.get(name)
    expected = loss()(student, teacher, torch.full((8,), 255))
    torch.testing.assert_close(loss(ignore_index=255)(student, teacher, soft), expected)


def test_a_teacher_that_is_not_a_number_is_named_by_every_loss():
    for name in ("AcclimationLoss", "DISTLoss", "KDLoss", "DKDLoss"):
        learner, other = torch.randn(8, 5, requires_grad=True), torch.randn(8, 5)
        broken = torch.full((8, 5), float("nan"), requires_grad=True)
        pair = (broken, other) if name == "AcclimationLoss" else (learner, broken)
        with pytest.raises(FloatingPointError, match="teacher's output"):
            MODELS.get(name)()(*pair, torch.zeros(8, dtype=torch.long))
