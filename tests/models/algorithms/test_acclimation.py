"""DIST+: the few modules of the teacher that train."""

from __future__ import annotations

import copy
import logging

import pytest
import torch
from helpers.ddp import adaptive
from helpers.tiny_models import batch, classifier
from mmengine.logging import MMLogger
from mmengine.optim import build_optim_wrapper

from mmdist.engine.hooks import AcclimationHook
from mmdist.errors import ConfigError


def wrapper(model, mult=0.1):
    return build_optim_wrapper(
        model,
        dict(
            optimizer=dict(type="SGD", lr=0.1, momentum=0.9, weight_decay=1e-2),
            paramwise_cfg=dict(custom_keys=dict(acclimated=dict(lr_mult=mult, decay_mult=0.0))),
        ),
    )


def step(model, optim, count=1):
    for _ in range(count):
        model.train_step(batch(), optim)


def test_the_named_modules_train_and_nothing_else_of_the_teacher_does():
    model = adaptive()
    before = copy.deepcopy(model.teacher.state_dict())
    step(model.train(), wrapper(model), 3)
    changed = {name for name, value in model.teacher.state_dict().items() if not torch.equal(value, before[name])}
    assert changed == {"head.fc.weight", "head.fc.bias", "backbone.layer4.1.conv2.weight"}


@pytest.mark.parametrize("stages", [1, 4])
def test_they_train_in_a_teacher_whose_backbone_freezes_its_stages(stages):
    teacher = classifier(8)
    teacher["backbone"]["frozen_stages"] = stages
    model = adaptive(teacher=teacher)
    before = copy.deepcopy(model.teacher.state_dict())
    step(model.train(), wrapper(model), 3)
    model.eval()
    step(model.train(), wrapper(model), 1)
    changed = {name for name, value in model.teacher.state_dict().items() if not torch.equal(value, before[name])}
    assert changed == {"head.fc.weight", "head.fc.bias", "backbone.layer4.1.conv2.weight"}


def test_they_have_a_rate_and_a_decay_of_their_own():
    model = adaptive()
    groups = wrapper(model).param_groups
    rates = {id(p): (round(group["lr"], 6), group["weight_decay"]) for group in groups for p in group["params"]}
    assert {rates[id(p)] for p in model.acclimated.parameters()} == {(0.01, 0.0)}
    assert {rates[id(p)] for p in model.student.parameters()} == {(0.1, 0.01)}


def test_the_student_learns_nothing_from_the_acclimation_and_the_teacher_nothing_from_the_rest():
    model = adaptive()
    losses = model(**model.data_preprocessor(batch(), training=True), mode="loss")
    losses["distill.loss_ta"].backward(retain_graph=True)
    assert all(p.grad is None for p in model.student.parameters())
    assert model.teacher.head.fc.weight.grad.abs().sum() > 0
    model.zero_grad()
    (losses["distill.loss_dist"] + losses["student.loss"]).backward()
    assert all(p.grad is None or not p.grad.any() for p in model.acclimated.parameters())


def test_the_checkpoint_holds_exactly_their_parameters_so_that_a_resumed_run_goes_on():
    model = adaptive()
    optim = wrapper(model)
    step(model.train(), optim, 2)
    state = model.state_dict()
    extra = {name for name in state if not name.startswith("architecture.")}
    assert extra == {
        "acclimated.head-fc.weight",
        "acclimated.head-fc.bias",
        "acclimated.backbone-layer4-1-conv2.weight",
    }
    resumed = adaptive()
    resumed.teacher.load_state_dict({**model.teacher.state_dict(), "head.fc.bias": torch.zeros(3)})
    resumed.load_state_dict(state)
    assert torch.equal(resumed.teacher.head.fc.bias, model.teacher.head.fc.bias)


def test_the_students_rate_is_warned_of_and_an_optimizer_without_them_refused():
    model, said = adaptive(), []
    handler = logging.Handler()
    handler.emit = lambda record: said.append(record.getMessage())
    logger = MMLogger.get_instance("test_acclimation")
    logger.addHandler(handler)
    step(model, wrapper(model, 1.0))
    assert any("lr_mult=0.1" in line for line in said)
    other = adaptive()
    with pytest.raises(ConfigError, match="custom_keys"):
        step(other, build_optim_wrapper(other.student, dict(optimizer=dict(type="SGD", lr=0.1))))


@pytest.mark.parametrize(
    ("name", "said"), [("head.fcc", "head.fc"), ("backbone.bn1", "without statistics"), ("", "name of a module")]
)
def test_modules_that_cannot_be_acclimated_are_refused(name, said):
    with pytest.raises(ConfigError, match=said):
        adaptive([name])


def test_in_ddp_a_distillation_that_was_stopped_goes_on_without_the_teacher(ddp_trainings):
    for found in ddp_trainings:
        assert found["stopped"] == ["distill.loss_stopped", "loss", "student.loss"]


def test_a_hook_looks_at_the_rate_where_ddp_passes_train_step_over():
    class Runner:
        model = adaptive()
        optim_wrapper = build_optim_wrapper(model.student, dict(optimizer=dict(type="SGD", lr=0.1)))

    with pytest.raises(ConfigError, match="custom_keys"):
        AcclimationHook().before_train(Runner())
    Runner.model = torch.nn.Linear(2, 2)
    AcclimationHook().before_train(Runner())  # no algorithm: nothing to look at
