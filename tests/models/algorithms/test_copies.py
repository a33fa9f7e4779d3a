"""Copies of the algorithm: on other devices and dtypes, pickled, with a teacher that trains."""

from __future__ import annotations

import copy
import pickle

import pytest
import torch
from helpers.tiny_models import algorithm, batch, classifier, distiller, segmentor
from mmengine.model import ExponentialMovingAverage
from mmengine.registry import MODELS

from mmdist.errors import ConfigError


def losses(model, data):
    return model(**model.data_preprocessor(copy.deepcopy(data), training=True), mode="loss")


def test_a_copy_that_changes_its_dtype_leaves_the_teacher_of_the_original_alone():
    model = algorithm(random_teacher=True)
    copy.deepcopy(model).half()
    assert {parameter.dtype for parameter in model.teacher.parameters()} == {torch.float32}
    losses(model, batch())


def test_a_moving_average_on_another_device_does_not_take_the_teacher_along():
    model = algorithm(random_teacher=True)
    ExponentialMovingAverage(model, device=torch.device("meta"))
    assert {parameter.device.type for parameter in model.teacher.parameters()} == {"cpu"}


def test_a_copy_takes_the_teacher_over_when_the_original_is_gone():
    model = algorithm(random_teacher=True)
    twin = copy.deepcopy(model)
    del model
    twin.double()
    assert {parameter.dtype for parameter in twin.teacher.parameters()} == {torch.float64}


def test_a_copy_of_a_teacher_that_trains_is_a_teacher_of_its_own():
    model = algorithm(teacher_trainable=True, random_teacher=True)
    twin = copy.deepcopy(model)
    assert twin.teacher is twin._modules["teacher"]
    assert twin.teacher is not model.teacher


def test_a_pickled_copy_records_its_teacher_once():
    model = algorithm(random_teacher=True)
    losses(model, batch())
    twin = pickle.loads(pickle.dumps(model))
    twin._prepare_teacher()
    with twin.distiller.teacher_recorders:
        twin.teacher(torch.rand(2, 3, 16, 16))
    (recorder,) = twin.distiller.teacher_recorders.recorders.values()
    assert len(recorder.data_buffer) == 1


def test_a_teacher_that_came_built_keeps_its_weights_when_the_runner_initialises():
    teacher = MODELS.build(classifier(8))
    for parameter in teacher.parameters():
        torch.nn.init.constant_(parameter, 0.5)
    model = algorithm(teacher=teacher)
    model.init_weights()
    assert all(bool((parameter == 0.5).all()) for parameter in model.teacher.parameters())


@pytest.mark.parametrize(
    "options",
    [
        dict(weighting=dict(type="mmdist.RDDWeighting")),
        dict(acclimated=["decode_head.conv_seg"]),
        dict(teacher_dtype="bfloat16"),
        dict(teacher_channels_last=True),
    ],
    ids=lambda options: next(iter(options)),
)
def test_an_option_without_effect_on_a_teacher_that_trains_is_refused(options):
    models = dict(architecture=segmentor(), teacher=segmentor(8), distiller=distiller("decode_head.conv_seg"))
    with pytest.raises(ConfigError, match=f"model.{next(iter(options))}.*teacher_trainable"):
        algorithm(**models, **options, teacher_trainable=True, random_teacher=True)


def test_a_teacher_that_trains_leaves_no_records():
    model = algorithm(teacher_trainable=True, random_teacher=True)
    losses(model, batch())
    assert not any(r.data_buffer for r in model.distiller.teacher_recorders.recorders.values())
