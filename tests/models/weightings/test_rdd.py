"""``mmdist.RDDWeighting``: the student's task loss, weighted by the teacher, on every task."""

from __future__ import annotations

import copy
import pickle

import pytest
import torch
from helpers.tiny_models import algorithm, batch, classifier, distiller, segmentor, segmentor_batch
from mmengine.logging import MessageHub
from torch import Tensor, nn

from mmdist.errors import ConfigError
from mmdist.functional import rdd_relative_mask, rdd_teacher_weight
from mmdist.models.algorithms import SingleTeacherDistill

TOTAL = 100


@pytest.fixture(autouse=True)
def hub() -> MessageHub:
    """A training of 100 iterations, at its first."""
    hub = MessageHub.get_instance("rdd-test")
    hub.update_info("iter", 0)
    hub.update_info("max_iters", TOTAL)
    return hub


def at(iteration: int) -> None:
    """Counted from 1, as the method counts."""
    MessageHub.get_current_instance().update_info("iter", iteration - 1)


def weighted(student: dict | None = None, teacher: dict | None = None, **options) -> SingleTeacherDistill:
    torch.manual_seed(2)
    options = {"min_kept": 20, "threshold": 0.35, **options}
    model = algorithm(
        architecture=student or segmentor(auxiliary=True),
        teacher=teacher or segmentor(8, auxiliary=True),
        distiller=None,
        weighting=dict(type="mmdist.RDDWeighting", **options),
    )
    for side in (model.student, model.teacher):
        for module in side.modules():
            if hasattr(module, "conv_seg"):  # sure of something, of other things than the other side
                nn.init.normal_(module.conv_seg.weight)
                nn.init.normal_(module.conv_seg.bias)
    return model


def losses(model: SingleTeacherDistill, data: dict) -> dict[str, Tensor]:
    """Without dropout, so that a second pass gives the same."""
    for module in model.modules():
        if isinstance(module, nn.Dropout | nn.Dropout2d):
            module.p = 0.0
    model.train()
    data = model.data_preprocessor(copy.deepcopy(data), training=True)
    return model(**data, mode="loss")


def heads_of(model: SingleTeacherDistill, data: dict) -> tuple[list[Tensor], list[Tensor], Tensor]:
    """Logits of the two heads of student (in training mode, as it trains) and teacher, and the labels."""
    data = model.data_preprocessor(copy.deepcopy(data), training=True)
    found = []
    with torch.no_grad():
        for side in (model.student, model.teacher):
            features = side.extract_feat(data["inputs"])
            found.append([side.decode_head.forward(features), side.auxiliary_head.forward(features)])
    labels = torch.stack([sample.gt_sem_seg.data[0] for sample in data["data_samples"]])
    return *found, labels


def segmented(seed: int = 0, ignored: int = 255) -> dict:
    torch.manual_seed(seed)
    data = segmentor_batch()
    for sample in data["data_samples"]:
        sample.gt_sem_seg.data[:, :3, :5] = ignored
    return data


def pixel_losses(logits: Tensor, labels: Tensor) -> Tensor:
    logits = nn.functional.interpolate(logits, labels.shape[1:], mode="bilinear", align_corners=False)
    return nn.functional.cross_entropy(logits, labels, reduction="none", ignore_index=255)


def test_the_first_stage_is_the_mean_over_all_pixels_weighted_by_the_teachers_agreement():
    model, data = weighted(warmup=10), segmented()
    at(9)
    found = losses(model, data)
    student, (main, aux), labels = heads_of(model, data)
    weight = rdd_teacher_weight(main, aux, size=labels.shape[1:])
    for logits, key in zip(student, ("student.decode.loss_ce", "student.aux.loss_ce"), strict=True):
        expected = (weight * pixel_losses(logits, labels)).sum() / labels.numel()
        torch.testing.assert_close(found[key], expected, rtol=1e-4, atol=1e-6)
    assert found["rdd.stage"] == 1
    valid = labels != 255
    torch.testing.assert_close(found["rdd.weight"], weight[valid].mean())


@pytest.mark.parametrize("mode", ["xor", "or", "and", "student"])
def test_the_second_stage_is_the_mean_over_the_kept_pixels_of_each_head(mode):
    model, data = weighted(warmup=10, mode=mode), segmented()
    at(10)
    found = losses(model, data)
    students, teachers, labels = heads_of(model, data)
    keys = ("student.decode.loss_ce", "student.aux.loss_ce")
    for logits, teacher, key in zip(students, teachers, keys, strict=True):
        full = nn.functional.interpolate(logits, labels.shape[1:], mode="bilinear", align_corners=False)
        kept = rdd_relative_mask(full, teacher, labels, mode=mode, threshold=0.35, min_kept=20)
        assert 0 < kept.sum() < labels.numel()
        torch.testing.assert_close(found[key], pixel_losses(logits, labels)[kept].mean(), rtol=1e-4, atol=1e-6)
    assert found["rdd.stage"] == 2
    assert 0 < found["rdd.kept"] < 1


def test_the_second_stage_weighs_the_kept_pixels_by_their_classes():
    class_weight = [0.5, 2.0, 1.5]
    model, data = weighted(warmup=0, class_weight=class_weight), segmented()
    found = losses(model, data)
    (logits, _), (teacher, _), labels = heads_of(model, data)
    full = nn.functional.interpolate(logits, labels.shape[1:], mode="bilinear", align_corners=False)
    kept = rdd_relative_mask(full, teacher, labels, threshold=0.35, min_kept=20)
    target = labels.masked_fill(~kept, 255)
    expected = nn.functional.cross_entropy(full, target, torch.tensor(class_weight), ignore_index=255)
    torch.testing.assert_close(found["student.decode.loss_ce"], expected, rtol=1e-4, atol=1e-6)


def test_the_blend_goes_from_the_first_stage_to_the_second():
    data = segmented()
    values = {}
    model = weighted(warmup=20, blend=True)
    for iteration in (19, 20, 60, TOTAL):
        at(iteration)
        values[iteration] = losses(model, data)["student.decode.loss_ce"].item()
    plain = weighted(warmup=20)  # of the same random numbers
    at(20)
    second = losses(plain, data)["student.decode.loss_ce"].item()
    first = values[19]
    assert values[20] == pytest.approx(first, rel=1e-3)
    assert values[60] == pytest.approx((first + second) / 2, rel=1e-3)
    assert values[TOTAL] == pytest.approx(second, rel=1e-3)


@pytest.mark.parametrize(("warmup", "last"), [(0.1, 9), (0.25, 24), (7, 6), (0, 0), (0.0, 0), (1.0, 99)])
def test_the_stage_changes_at_the_stated_iteration(warmup, last):
    model, data = weighted(warmup=warmup), segmented()
    for iteration, stage in ((last, 1), (last + 1, 2)):
        if iteration:
            at(iteration)
            assert losses(model, data)["rdd.stage"] == stage


def test_a_weight_of_one_everywhere_is_plain_training_bit_for_bit():
    data, model = segmented(), weighted(warmup=10)
    teacher = model.teacher
    for head in (teacher.decode_head, teacher.auxiliary_head):
        nn.init.zeros_(head.conv_seg.weight)  # both heads say the same
        nn.init.zeros_(head.conv_seg.bias)
    found = losses(model, data)
    sum(value for key, value in found.items() if "loss" in key).backward()
    gradients = {name: p.grad.clone() for name, p in model.student.named_parameters()}
    model.zero_grad()
    model.distillation_stopped = True  # no weighting either
    plain = losses(model, data)
    sum(value for key, value in plain.items() if "loss" in key).backward()
    for key in ("student.decode.loss_ce", "student.aux.loss_ce"):
        assert torch.equal(found[key], plain[key])
    assert all(torch.equal(p.grad, gradients[name]) for name, p in model.student.named_parameters())


def test_a_weight_of_zero_everywhere_gives_no_loss_and_no_gradient():
    model, data = weighted(warmup=0, min_kept=0, threshold=0.0), segmented()  # nothing is hard for anybody
    found = losses(model, data)
    assert found["student.decode.loss_ce"] == 0
    found["student.decode.loss_ce"].backward()
    assert all(p.grad is None or (p.grad == 0).all() for p in model.student.parameters())
    assert found["rdd.kept"] == 0


def test_a_student_that_answers_as_the_teacher_has_nothing_to_learn_in_the_second_stage():
    model, data = weighted(teacher=segmentor(auxiliary=True), warmup=0), segmented()
    model.student.load_state_dict(model.teacher.state_dict())
    model.student.decode_head.align_corners = True  # the method's own way of enlarging
    model.student.auxiliary_head.align_corners = True
    model.eval()
    data = model.data_preprocessor(data, training=True)
    found = model(**data, mode="loss")
    total = found["student.decode.loss_ce"] + found["student.aux.loss_ce"]
    total.backward()
    assert total == 0
    assert all(p.grad is None or (p.grad == 0).all() for p in model.student.parameters())


@pytest.mark.parametrize("iteration", [1, 50])
def test_an_image_without_a_labelled_pixel_counts_nothing(iteration):
    model, data = weighted(), segmented()
    for sample in data["data_samples"]:
        sample.gt_sem_seg.data[:] = 255
    at(iteration)
    found = losses(model, data)
    assert found["student.decode.loss_ce"] == 0
    assert all(value.isfinite().all() for value in found.values())


def test_another_ignore_index_gives_the_same():
    data, other = segmented(), segmented()
    for sample in other["data_samples"]:
        labels = sample.gt_sem_seg.data
        labels[labels == 255] = -1
    at(50)
    model = weighted()
    expected = losses(model, data)
    for head in (model.student.decode_head, model.student.auxiliary_head):
        head.ignore_index = -1
    model.weighting.connect(model.student, model.teacher)
    found = losses(model, other)
    for key in ("student.decode.loss_ce", "student.aux.loss_ce"):
        torch.testing.assert_close(found[key], expected[key])


def test_fewer_pixels_than_min_kept_are_said_once(caplog, monkeypatch):
    said = []
    monkeypatch.setattr("mmdist.models.weightings.rdd.print_log", lambda text, *args: said.append(text))
    model, data = weighted(min_kept=100_000), segmented()
    at(50)
    for _ in range(2):
        assert losses(model, data)["student.decode.loss_ce"] == 0
    warned = [text for text in said if "no more than min_kept = 100000" in text]
    assert len(warned) == 1


def test_teacher_taps_come_by_themselves_beside_the_distillers_own():
    model = weighted()
    assert set(model.distiller.teacher_recorders.recorders) == {"rdd:decode_head.forward", "rdd:auxiliary_head.forward"}
    cfg = distiller("decode_head.conv_seg")
    both = algorithm(
        architecture=segmentor(auxiliary=True),
        teacher=segmentor(8, auxiliary=True),
        distiller=cfg,
        weighting=dict(type="mmdist.RDDWeighting"),
    )
    assert len(both.distiller.teacher_recorders.recorders) == 3
    found = losses(both, segmented())
    assert {"distill.loss_dist", "rdd.stage", "student.decode.loss_ce"} <= set(found)
    assert all(not recorder.data_buffer for recorder in both.distiller.teacher_recorders.recorders.values())


def test_heads_and_checkpoint_stay_as_they_are():
    model = weighted()
    assert model.state_dict().keys() == {f"architecture.{name}" for name in model.student.state_dict()}
    losses(model, segmented())
    assert not any(module._forward_pre_hooks for module in model.student.modules())


def test_a_copy_and_a_pickle_weigh_alike():
    model, data = weighted(), segmented()
    expected = losses(model, data)["student.decode.loss_ce"]
    torch.testing.assert_close(losses(copy.deepcopy(model), data)["student.decode.loss_ce"], expected)
    assert pickle.loads(pickle.dumps(model.weighting)).targets == model.weighting.targets


@pytest.mark.parametrize("first_stage", ["auto", "entropy", "none"])
def test_a_teacher_without_an_auxiliary_head_is_given_another_first_stage(first_stage):
    model, data = weighted(teacher=segmentor(8), first_stage=first_stage), segmented()
    found = losses(model, data)
    assert model.weighting.first_stage == ("entropy" if first_stage == "auto" else first_stage)
    assert found["rdd.stage"] == (2 if first_stage == "none" else 1)
    if first_stage != "none":
        with torch.no_grad():
            inputs = model.data_preprocessor(copy.deepcopy(data), training=True)["inputs"]
            logits = model.teacher.decode_head.forward(model.teacher.extract_feat(inputs))
        entropy = torch.distributions.Categorical(logits=logits.movedim(1, -1)).entropy()
        weight = nn.functional.interpolate((-entropy).exp()[:, None], (16, 16), mode="bilinear", align_corners=True)
        labels = torch.stack([sample.gt_sem_seg.data for sample in data["data_samples"]])
        torch.testing.assert_close(found["rdd.weight"], weight[labels != 255].mean(), rtol=1e-4, atol=1e-5)


def test_the_auxiliary_stage_is_refused_for_a_teacher_that_has_no_such_head():
    with pytest.raises(ConfigError, match=r"model.weighting.first_stage = 'auxiliary': expected a teacher with an aux"):
        weighted(teacher=segmentor(8), first_stage="auxiliary")


def test_class_scores_of_samples_are_weighted_too():
    model = algorithm(weighting=dict(type="mmdist.RDDWeighting", warmup=10))
    data = batch()
    for iteration, stage in ((1, 1), (10, 2)):
        at(iteration)
        found = losses(model, data)
        inputs = model.data_preprocessor(copy.deepcopy(data), training=True)
        with torch.no_grad():
            student = model.student(inputs["inputs"], mode="tensor")
            teacher = model.teacher(inputs["inputs"], mode="tensor")
        labels = torch.cat([sample.gt_label for sample in data["data_samples"]])
        each = nn.functional.cross_entropy(student, labels, reduction="none")
        if stage == 1:
            entropy = torch.distributions.Categorical(logits=teacher).entropy()
            expected = ((-entropy).exp() * each).mean()
        else:
            kept = rdd_relative_mask(student, teacher, labels, min_kept=0)
            expected = each[kept].mean() if kept.any() else each.sum() * 0
        torch.testing.assert_close(found["student.loss"], expected, rtol=1e-4, atol=1e-6)
        assert found["rdd.stage"] == stage


@pytest.mark.parametrize("loss", [dict(type="LabelSmoothLoss", label_smooth_val=0.1), dict(type="CrossEntropyLoss")])
def test_smoothed_and_mixed_labels_are_weighted(loss):
    student = classifier()
    student["head"]["loss"] = {**loss, "type": f"mmpretrain.{loss['type']}"}
    if loss["type"] == "CrossEntropyLoss":
        student["head"]["loss"].update(use_soft=True)
    model = algorithm(architecture=student, weighting=dict(type="mmdist.RDDWeighting", warmup=0, mode="or"))
    data = batch()
    if loss["type"] == "CrossEntropyLoss":
        for sample in data["data_samples"]:
            sample.set_gt_score(torch.rand(3).softmax(0))
    found = losses(model, data)
    assert found["student.loss"].isfinite()
    assert found["student.loss"] > 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (dict(mode="xnor"), "model.weighting.mode = 'xnor': did you mean 'xor'"),
        (dict(warmup=1.5), "model.weighting.warmup = 1.5"),
        (dict(warmup=-1), "model.weighting.warmup = -1"),
        (dict(warmup=True), "model.weighting.warmup = True"),
        (dict(first_stage="entropi"), "model.weighting.first_stage = 'entropi': did you mean 'entropy'"),
        (dict(min_kept=-5), "model.weighting.min_kept = -5"),
        (dict(min_kept=0.5), "model.weighting.min_kept = 0.5"),
        (dict(kl_direction="main"), "model.weighting.kl_direction = 'main'"),
        (
            dict(losses=["decode_head.loss"]),
            "model.weighting.losses = 'decode_head.loss': did you mean 'decode_head.lo",
        ),
        (dict(teacher_logits="decode_head.forwad"), "decode_head.forwad"),
        (dict(class_weight=[1.0, 2.0]), r"model.weighting.class_weight = \[1.0, 2.0\]: expected 3 weights"),
    ],
)
def test_a_wrong_option_is_refused_when_the_model_is_built(options, message):
    with pytest.raises(ValueError, match=message):
        weighted(**options)


@pytest.mark.parametrize("loss", ["OhemCrossEntropy", "LovaszLoss", "DiceLoss"])
def test_a_loss_that_takes_no_weight_is_refused_by_name(loss):
    student = segmentor(auxiliary=True)
    student["decode_head"]["loss_decode"] = dict(type=f"mmseg.{loss}")
    if loss == "LovaszLoss":
        student["decode_head"]["loss_decode"].update(reduction="none")
    with pytest.raises(ConfigError, match=rf"model.architecture.decode_head.loss_decode = '{loss}': expected a loss"):
        weighted(student)
    weighted(student, losses=["auxiliary_head.loss_decode"])


def test_a_teacher_of_other_classes_is_refused_in_the_first_iteration():
    teacher = segmentor(8, auxiliary=True)
    for head in ("decode_head", "auxiliary_head"):
        teacher[head]["num_classes"] = 5
    with pytest.raises(ConfigError, match=r"model.teacher: .*the same classes"):
        losses(weighted(teacher=teacher), segmented())


@pytest.mark.parametrize("iteration", [1, 50])
def test_a_teacher_that_went_wrong_is_reported_and_weighs_nothing(iteration):
    model = weighted()
    nn.init.constant_(model.teacher.decode_head.conv_seg.bias, float("nan"))
    at(iteration)
    with pytest.raises(FloatingPointError, match=r"decode_head.forward \(the teacher's output\) holds NaN or infinity"):
        losses(model, segmented())


def test_a_share_of_an_unknown_number_of_iterations_is_refused(hub):
    hub.update_info("max_iters", None)
    with pytest.raises(ConfigError, match=r"model.weighting.warmup = 0.1: expected a training whose number"):
        losses(weighted(), segmented())
