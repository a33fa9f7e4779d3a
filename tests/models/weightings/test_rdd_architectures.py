"""``mmdist.RDDWeighting`` on segmenters that call their losses each in a way of its own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from helpers.tiny_architectures import (
    CLASSES,
    FCN,
    SIDE,
    cascade,
    danet,
    ddrnet,
    fcn,
    mask2former,
    pictures,
    pidnet,
    segformer,
)
from helpers.weighted_losses import LAST_OF_FIRST, SECOND, Call, answers_of, at, losses_of, training, weighted
from mmengine.config import ConfigDict
from PIL import Image
from references import rdd
from torch import Tensor

from mmdist.errors import ConfigError
from mmdist.models.algorithms import SingleTeacherDistill

THRESHOLD, MIN_KEPT = 0.35, 40
OPTIONS = dict(threshold=THRESHOLD, min_kept=MIN_KEPT)
MAIN, AUX = "decode_head", "auxiliary_head"
LOSS = "decode_head.loss_decode"


@pytest.fixture(autouse=True)
def _training() -> None:
    training()


def two(logits: Tensor) -> Tensor:
    """One channel as two classes."""
    return torch.cat([torch.zeros_like(logits), logits], 1) if logits.shape[1] == 1 else logits


def each(call: Call, sigmoid: bool = False) -> Tensor:
    """The loss of each pixel, written out; with sigmoid the mean over the classes."""
    logits, ignored = two(call.logits).double(), call.label == 255
    label = call.label.masked_fill(ignored, 0).unsqueeze(1)
    if sigmoid and logits.shape[1] != 2:
        p = logits.sigmoid()
        hit = torch.zeros_like(p).scatter_(1, label, 1.0)
        return -(hit * p.log() + (1 - hit) * (1 - p).log()).mean(1).masked_fill(ignored, 0)
    return -logits.log_softmax(1).gather(1, label).squeeze(1).masked_fill(ignored, 0)


def first_weight(answers: dict[str, Tensor], opinions: tuple[str, ...], size: Any, activation: str) -> Tensor:
    """Of the first stage, by the reference: two heads' agreement, or one head's entropy."""
    maps = [two(answers[name]).tolist() for name in opinions]
    shape = answers[opinions[0]].shape[2:]  # another head's map comes to the size of the one that predicts
    maps[1:] = [[[rdd.resize(plane, shape) for plane in image] for image in map_] for map_ in maps[1:]]
    found = rdd.teacher_weight(*maps, size) if len(maps) == 2 else rdd.entropy_weight(*maps, size, activation)
    return torch.tensor(found, dtype=torch.float64)


def kept(call: Call, answer: Tensor, activation: str) -> Tensor:
    """Of the second stage, by the reference: what is hard for one network alone."""
    label = call.label.tolist()
    hard = [
        torch.tensor(rdd.hard_mask(p, label, 255, THRESHOLD, MIN_KEPT))
        for p in (rdd.label_probability(two(z).tolist(), label, 255, True, activation) for z in (call.logits, answer))
    ]
    return hard[0] ^ hard[1]


def assert_weighted(
    model: SingleTeacherDistill,
    data: dict,
    heads: dict[str, str],
    opinions: tuple[str, ...],
    activation: str = "softmax",
) -> None:
    """Every loss call of the student, in both stages, has the value of the definition.

    Args:
        heads: The teacher's head by the student's loss.
        opinions: The teacher's heads that the first stage looks at.
        activation: Of the loss.
    """
    sigmoid = activation == "sigmoid" and model.student.out_channels != 1
    activation = "sigmoid" if sigmoid else "softmax"
    for iteration in (LAST_OF_FIRST, SECOND):
        at(iteration)
        found, calls, batch = losses_of(model, data)
        answers = answers_of(model.teacher, batch)
        calls = [call for call in calls if call.path in heads]
        assert {call.path for call in calls} == set(heads)
        assert found["rdd.stage"] == 1 + (iteration == SECOND)
        for call in calls:
            values = each(call, sigmoid)
            if iteration == SECOND:
                mask = kept(call, answers[heads[call.path]], activation)
                assert 0 < mask.sum() < mask.numel()
                expected = values[mask].mean()
            else:
                expected = (first_weight(answers, opinions, call.label.shape[1:], activation) * values).mean()
            weight = model.student.get_submodule(call.path).loss_weight
            torch.testing.assert_close(call.value.double(), weight * expected, rtol=1e-4, atol=1e-6)


NETWORKS: dict[str, tuple[dict, dict, dict[str, str], tuple[str, ...]]] = {
    "a cascade under a plain teacher": (
        cascade(),
        fcn(8, 1),
        {"decode_head.1.loss_decode": MAIN, "decode_head.0.loss_decode": MAIN},
        (MAIN, AUX),
    ),
    "a plain student under a cascade": (
        fcn(4, 1),
        cascade(8),
        {LOSS: "decode_head.1", "auxiliary_head.loss_decode": "decode_head.1"},
        ("decode_head.1", "decode_head.0"),
    ),
    "a cascade under a cascade": (
        cascade(),
        cascade(8),
        {f"decode_head.{i}.loss_decode": f"decode_head.{i}" for i in (0, 1)},
        ("decode_head.1", "decode_head.0"),
    ),
    "lists of auxiliary heads": (
        fcn(4, 2),
        fcn(8, 2),
        {LOSS: MAIN, **{f"auxiliary_head.{i}.loss_decode": f"auxiliary_head.{i}" for i in (0, 1)}},
        (MAIN, "auxiliary_head.1"),
    ),
    "more auxiliary heads than the teacher has": (
        fcn(4, 2),
        fcn(8, 1),
        {LOSS: MAIN, **{f"auxiliary_head.{i}.loss_decode": AUX for i in (0, 1)}},
        (MAIN, AUX),
    ),
    "SegFormer as teacher": (fcn(4, 1), segformer(), {LOSS: MAIN, "auxiliary_head.loss_decode": MAIN}, (MAIN,)),
    "Mask2Former as teacher": (fcn(), mask2former(), {LOSS: MAIN}, (MAIN,)),
    "DANet on both sides": (danet(), danet(16), {LOSS: MAIN}, (MAIN,)),
    "DDRNet": (ddrnet(), fcn(8, 1), {f"{LOSS}.{i}": MAIN for i in (0, 1)}, (MAIN, AUX)),
    "DDRNet on both sides": (ddrnet(), ddrnet(8), {f"{LOSS}.{i}": MAIN for i in (0, 1)}, (MAIN,)),
    "PIDNet": (pidnet(), fcn(8, 1), {f"{LOSS}.{i}": MAIN for i in (0, 1, 3)}, (MAIN, AUX)),
    "PIDNet on both sides": (pidnet(), pidnet(8), {f"{LOSS}.{i}": MAIN for i in (0, 1, 3)}, (MAIN,)),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_every_loss_of_a_network_has_the_value_of_the_definition_in_both_stages(name: str) -> None:
    student, teacher, heads, opinions = NETWORKS[name]
    side = 64 if name.startswith(("DDR", "PID")) else SIDE
    assert_weighted(weighted(student, teacher, **OPTIONS), pictures(side), heads, opinions)


def test_pidnets_loss_of_edges_is_left_alone() -> None:
    model = weighted(pidnet(), fcn(8, 1), **OPTIONS)
    at(SECOND)
    _, calls, _ = losses_of(model, pictures(64))
    (edges,) = (call for call in calls if call.path == f"{LOSS}.2")
    assert torch.equal(edges.value, model.student.get_submodule(edges.path)(edges.logits, edges.label))
    assert f"{LOSS}.2" not in [target.path for target in model.weighting.targets]


@pytest.mark.parametrize(("build", "path"), [(ddrnet, f"{LOSS}.0"), (pidnet, f"{LOSS}.1")])
def test_online_hard_example_mining_is_refused_by_name(build: Any, path: str) -> None:
    student = build(loss=dict(type="mmseg.OhemCrossEntropy"))
    with pytest.raises(ConfigError, match=rf"model.architecture.{path} = 'OhemCrossEntropy'.*CrossEntropyLoss in its"):
        weighted(student, fcn(8, 1))


@pytest.mark.parametrize(
    ("teacher", "opinions"), [(fcn(8, 1), (MAIN, AUX)), (fcn(8), (MAIN,))], ids=["auxiliary", "entropy"]
)
def test_a_network_under_a_plain_teacher_with_or_without_an_auxiliary_head(teacher: dict, opinions: tuple) -> None:
    assert_weighted(weighted(fcn(), teacher, **OPTIONS), pictures(), {LOSS: MAIN}, opinions)


SIGMOID = dict(loss_decode=dict(type="mmseg.CrossEntropyLoss", use_sigmoid=True))


@pytest.mark.parametrize("channels", [CLASSES, 1])
@pytest.mark.parametrize("auxiliaries", [0, 1])
def test_sigmoid_losses_have_the_value_of_the_definition(channels: int, auxiliaries: int) -> None:
    student = fcn(channels=channels, **SIGMOID)
    teacher = fcn(8, auxiliaries, channels=channels, **SIGMOID)
    opinions = (MAIN, AUX)[: 1 + auxiliaries]
    data = pictures(classes=min(channels + 1, CLASSES))
    assert_weighted(weighted(student, teacher, **OPTIONS), data, {LOSS: MAIN}, opinions, "sigmoid")


def test_one_channel_with_a_weight_of_its_class_is_averaged_over_the_kept_pixels() -> None:
    loss = dict(type="mmseg.CrossEntropyLoss", use_sigmoid=True, class_weight=[3.0])
    model = weighted(fcn(channels=1, loss_decode=loss), fcn(8, channels=1, loss_decode=loss), **OPTIONS)
    at(SECOND)
    _, (call,), batch = losses_of(model, pictures(classes=2))
    mask = kept(call, answers_of(model.teacher, batch)[MAIN], "softmax")
    p = call.logits.double().sigmoid()[:, 0][mask]
    y = call.label[mask]
    expected = -(3 * y * p.log() + (1 - y) * (1 - p).log()).mean()
    torch.testing.assert_close(call.value.double(), expected, rtol=1e-4, atol=1e-6)


def test_losses_beside_the_weighted_one_are_left_alone() -> None:
    both = [dict(type="mmseg.CrossEntropyLoss"), dict(type="mmseg.DiceLoss")]
    with pytest.raises(
        ConfigError, match=r"decode_head.loss_decode.1 = 'DiceLoss'.*losses = \['decode_head.loss_decode.0'\]"
    ):
        weighted(fcn(loss_decode=both), fcn(8, 1))
    model = weighted(fcn(loss_decode=both), fcn(8, 1), losses=[f"{LOSS}.0"], **OPTIONS)
    assert_weighted(model, pictures(), {f"{LOSS}.0": MAIN}, (MAIN, AUX))
    _, calls, _ = losses_of(model, pictures())
    dice = model.student.get_submodule(f"{LOSS}.1")
    assert calls[1].path == f"{LOSS}.1"
    assert torch.equal(calls[1].value, dice(calls[1].logits, calls[1].label))


def test_a_mean_over_labelled_pixels_stays_one_in_the_first_stage() -> None:
    loss = dict(type="mmseg.CrossEntropyLoss", avg_non_ignore=True)
    model = weighted(fcn(loss_decode=loss), fcn(8, 1), **OPTIONS)
    for iteration in (LAST_OF_FIRST, SECOND):
        at(iteration)
        _, (call,), batch = losses_of(model, pictures())
        answers = answers_of(model.teacher, batch)
        if iteration == SECOND:
            expected = each(call)[kept(call, answers[MAIN], "softmax")].mean()
        else:
            weight = first_weight(answers, (MAIN, AUX), call.label.shape[1:], "softmax")
            expected = (weight * each(call))[call.label != 255].mean()
        torch.testing.assert_close(call.value.double(), expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("sigmoid", [False, True])
@pytest.mark.parametrize("non_ignore", [False, True])
def test_the_blend_is_the_weighted_sum_of_the_two_stages(sigmoid: bool, non_ignore: bool) -> None:
    loss = dict(type="mmseg.CrossEntropyLoss", avg_non_ignore=non_ignore, use_sigmoid=sigmoid)
    values = []
    for blend, iteration in ((False, LAST_OF_FIRST), (False, SECOND), (True, 55)):
        model = weighted(fcn(loss_decode=loss), fcn(8, 1), blend=blend, **OPTIONS)
        at(iteration)
        torch.manual_seed(5)
        values.append(losses_of(model, pictures())[1][0].value)
    torch.testing.assert_close(values[2], (values[0] + values[1]) / 2, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("threshold", [None, 0.3])
def test_a_pixel_sampler_chooses_by_the_plain_loss_and_its_pixels_count(threshold: float | None) -> None:
    student = fcn(sampler=dict(type="mmseg.OHEMPixelSampler", thresh=threshold, min_kept=300))
    model = weighted(student, fcn(8, 1), **OPTIONS)
    for iteration in (LAST_OF_FIRST, SECOND):
        at(iteration)
        _, (call,), batch = losses_of(model, pictures())
        values, sampled = each(call), call.weight > 0
        if threshold is None:
            assert sampled.sum() == 600
            assert values[sampled].min() >= values[~sampled & (call.label != 255)].max() - 1e-5
        assert 0 < sampled.sum() < sampled.numel()
        answers = answers_of(model.teacher, batch)
        if iteration == SECOND:
            both = kept(call, answers[MAIN], "softmax") & sampled
            assert both.any()
            expected = values[both].mean()
        else:
            weight = first_weight(answers, (MAIN, AUX), call.label.shape[1:], "softmax")
            expected = (weight * values * sampled).mean()
        torch.testing.assert_close(call.value.double(), expected, rtol=1e-4, atol=1e-6)


def test_the_losss_own_class_weights_are_part_of_both_means() -> None:
    class_weight = [0.5, 2.0, 1.5]
    loss = dict(type="mmseg.CrossEntropyLoss", class_weight=class_weight)
    model = weighted(fcn(loss_decode=loss), fcn(8, 1), **OPTIONS)
    for iteration in (LAST_OF_FIRST, SECOND):
        at(iteration)
        # mmseg's own divisor cannot be computed with ignored labels: it indexes the class weights with 255
        _, (call,), batch = losses_of(model, pictures(ignored=None if iteration != SECOND else 255))
        answers = answers_of(model.teacher, batch)
        own = torch.tensor(class_weight, dtype=torch.float64)[call.label.clamp_max(2)] * (call.label != 255)
        weight = (
            kept(call, answers[MAIN], "softmax").double()
            if iteration == SECOND
            else first_weight(answers, (MAIN, AUX), call.label.shape[1:], "softmax")
        )
        divisor = (own * weight).sum() if iteration == SECOND else own.sum()
        expected = (own * weight * each(call)).sum() / divisor
        torch.testing.assert_close(call.value.double(), expected, rtol=1e-4, atol=1e-6)


def test_a_sum_stays_a_sum() -> None:
    loss = dict(type="mmseg.CrossEntropyLoss", reduction="sum")
    model = weighted(fcn(loss_decode=loss), fcn(8, 1), **OPTIONS)
    at(SECOND)
    _, (call,), batch = losses_of(model, pictures())
    expected = each(call)[kept(call, answers_of(model.teacher, batch)[MAIN], "softmax")].sum()
    torch.testing.assert_close(call.value.double(), expected, rtol=1e-4, atol=1e-6)


def test_labels_whose_zero_is_taken_away_are_ignored(tmp_path: Path) -> None:
    from mmseg.datasets.transforms import LoadAnnotations

    data = pictures()
    for index, sample in enumerate(data["data_samples"]):
        raw = np.random.default_rng(index).integers(0, CLASSES + 1, (SIDE, SIDE), dtype=np.uint8)
        Image.fromarray(raw).save(tmp_path / f"{index}.png")
        info = dict(seg_map_path=str(tmp_path / f"{index}.png"), seg_fields=[], reduce_zero_label=True)
        loaded = LoadAnnotations(reduce_zero_label=True)(info)["gt_seg_map"]
        assert (loaded == 255).any()
        sample.gt_sem_seg.data = torch.from_numpy(loaded).long().unsqueeze(0)
    assert_weighted(weighted(fcn(), fcn(8, 1), **OPTIONS), data, {LOSS: MAIN}, (MAIN, AUX))


def test_a_student_whose_head_has_no_such_loss_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"model.architecture.decode_head = 'Mask2FormerHead': expected a head with"):
        weighted(mask2former(), fcn(8, 1))


def test_a_loss_of_sampled_points_is_refused_in_the_first_iteration() -> None:
    student = cascade()
    places = dict(
        in_channels=[4], in_index=[0], channels=4, num_classes=CLASSES, num_fcs=1, coarse_pred_each_layer=True
    )
    student["decode_head"][1] = dict(type="mmseg.PointHead", **places)
    student["train_cfg"] = ConfigDict(num_points=16, oversample_ratio=3, importance_sample_ratio=0.75)
    model = weighted(student, fcn(8, 1))
    with pytest.raises(ConfigError, match=r"decode_head.1.loss_decode = .*one label for each pixel"):
        losses_of(model, pictures())


def test_a_head_of_one_class_beside_one_of_many_is_refused_with_what_to_do() -> None:
    student = fcn(4, 1)
    student["auxiliary_head"].update({**FCN, "num_classes": 2, "out_channels": 1, "threshold": 0.5, **SIGMOID})
    model = weighted(student, fcn(8, 1))
    at(SECOND)
    with pytest.raises(ConfigError, match=r"model.teacher: auxiliary_head.forward.*model.weighting.losses names"):
        losses_of(model, pictures(classes=2))
