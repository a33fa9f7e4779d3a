"""Pseudo-labels: the teacher's own inference labels what has no labels, for the student's own loss."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest
import torch
from helpers.unlabeled_data import raw_batch
from helpers.unlabeled_models import LABELED, MODELS_OF, UNLABELED, built, gradients, losses_of
from mmengine.structures import InstanceData, PixelData
from torch import Tensor, nn

from mmdist.errors import ConfigError
from mmdist.models.algorithms.pseudo_labels import PseudoLabels
from mmdist.models.algorithms.pseudo_labels.views import StrongView
from mmdist.models.algorithms.unlabeled import content

ONE_STAGE = ("segmenter", "detector", "classifier", "mixup", "two_stage")
THRESHOLDS = dict(segmenter=0.42, detector=0.0, classifier=0.0, mixup=0.0, two_stage=0.05)


pytestmark = pytest.mark.usefixtures("first_iteration")


def pseudo(name: str, score_thr: float | None = None, **changes: Any) -> tuple[str, Any]:
    options = dict(score_thr=THRESHOLDS[name] if score_thr is None else score_thr, **changes.pop("options", {}))
    scope, model = built(name, pseudo_labels=options, **changes)
    torch.manual_seed(5)
    with torch.no_grad():  # surer than a network that was just made, and of other opinions than the student
        for parameter in model.teacher.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    return scope, model.train()


def by_hand(name: str, model: Any, images: Tensor, samples: list[Any], threshold: float) -> tuple[list[Any], list[int]]:
    """Labelled samples, and the rows that count, from the teacher's public inference."""
    teacher, found, rows = model.teacher.eval(), [], []
    if name == "segmenter":
        with torch.no_grad():
            scores = teacher.encode_decode(images, [dict(img_shape=tuple(images.shape[-2:])) for _ in samples])
        probabilities, labels = scores.softmax(1).max(1)
        labels[probabilities < threshold] = 255
        for sample, label in zip(samples, labels, strict=True):
            label[sample.img_shape[0] :] = 255
            label[:, sample.img_shape[1] :] = 255
            sample = sample.clone()
            sample.gt_sem_seg = PixelData(data=label[None])
            found.append(sample)
        return found, list(range(len(samples)))
    asked = [sample.clone() for sample in samples]
    for sample in asked:
        if "detector" in name or name == "two_stage":
            sample.set_metainfo(dict(scale_factor=(1.0, 1.0), ori_shape=sample.img_shape))
    with torch.no_grad():
        answers = teacher(images, deepcopy(asked), mode="predict")
    for row, (sample, answer) in enumerate(zip(samples, answers, strict=True)):
        sample = sample.clone()
        if name in ("classifier", "mixup"):
            if answer.pred_score.max() >= threshold:
                rows.append(row)
            sample.set_gt_label(answer.pred_score.argmax())
            if "gt_score" in sample:
                sample.set_gt_score(nn.functional.one_hot(answer.pred_score.argmax(), 3).float())
        else:
            left, top, right, bottom = answer.pred_instances.bboxes.unbind(1)
            large = (right - left >= 1) & (bottom - top >= 1)
            kept = answer.pred_instances[(answer.pred_instances.scores >= threshold) & large]
            sample.gt_instances = InstanceData(bboxes=kept.bboxes, labels=kept.labels)
        found.append(sample)
    return found, rows


@pytest.mark.parametrize("name", ONE_STAGE)
def test_the_loss_is_the_students_own_on_the_teachers_decisions(name: str) -> None:
    scope, model = pseudo(name)
    batch = raw_batch(scope, LABELED, UNLABELED)
    torch.manual_seed(3)
    data = model.data_preprocessor(deepcopy(batch), True)
    rest = data["unlabeled"]
    if name in ("classifier", "mixup"):  # in the middle
        answers = model.teacher(rest["inputs"], deepcopy(rest["data_samples"]), mode="predict")
        model.pseudo_labels.score_thr = float(sorted(answer.pred_score.max() for answer in answers)[2])
    found = {key: value for key, value in model(**deepcopy(data), mode="loss").items() if key.startswith("pseudo.")}
    labelled, rows = by_hand(name, model, rest["inputs"], rest["data_samples"], model.pseudo_labels.score_thr)
    student = deepcopy(model.student)
    if name in ("classifier", "mixup"):
        scores = student.head(student.extract_feat(rest["inputs"]))
        assert 0 < len(rows) < len(labelled), "the threshold divides them"
        targets = torch.stack([labelled[row].gt_label.reshape(()) for row in rows])
        expected = nn.functional.cross_entropy(scores[rows], targets, reduction="sum") / len(labelled)
        torch.testing.assert_close(found["pseudo.loss"], expected)
        return
    with model._teacher.own_numbers(2, rest["inputs"]):  # as the pass over these images draws
        expected = student(rest["inputs"], labelled, mode="loss")
    assert found.keys() == {f"pseudo.{key}" for key in expected}
    if scope == "mmdet":
        assert sum(len(sample.gt_instances) for sample in labelled)
    else:
        assert sum(int((sample.gt_sem_seg.data != 255).sum()) for sample in labelled) > 0
    for key, value in expected.items():
        torch.testing.assert_close(found[f"pseudo.{key}"], value)


@pytest.mark.parametrize("name", ["segmenter", "detector", "classifier"])
def test_the_labelled_images_learn_what_they_learn_without_the_others(name: str) -> None:
    scope, model = built(name, weight=0.0, pseudo_labels=dict(score_thr=0.0, loss_weight=0.0))
    model.train()
    plain = deepcopy(model.student)
    alone, found = losses_of(plain, raw_batch(scope, LABELED)), losses_of(model, raw_batch(scope, LABELED, UNLABELED))
    for key in ("numbers", "more"):
        assert torch.equal(alone[key], found[key])
    wanted, learned = gradients(plain), gradients(model.student)
    assert all(torch.equal(learned[key], value) for key, value in wanted.items())
    assert all(torch.equal(a, b) for a, b in zip(plain.buffers(), model.student.buffers(), strict=True))


@pytest.mark.parametrize("name", ["segmenter", "classifier", "mixup"])
def test_what_is_not_sure_teaches_nothing(name: str) -> None:
    scope, model = pseudo(name, 1.0, distiller=None, calculate_student_loss=False)
    data = model.data_preprocessor(raw_batch(scope, (), UNLABELED), True)
    total, logged = model.parse_losses(model(**data, mode="loss"))
    assert {key for key in logged if key.startswith("pseudo.")} and float(total) == 0.0
    total.backward()
    assert all(not bool(gradient.any()) for gradient in gradients(model.student).values())


def test_pseudo_labels_alone_need_no_distiller_and_run_the_teacher_on_unlabelled_images_alone() -> None:
    scope, model = pseudo("segmenter", 0.0, distiller=None)
    seen: list[int] = []
    model.teacher.backbone.register_forward_pre_hook(lambda _, args: seen.append(len(args[0])))
    found = losses_of(model, raw_batch(scope, LABELED, UNLABELED))
    assert seen == [len(UNLABELED)]
    assert not any(key.startswith("distill.") for key in found) and "pseudo.decode.loss_ce" in found


def test_the_weight_scales_the_loss_and_nothing_else() -> None:
    logged = []
    for weight in (1.0, 0.25):
        scope, model = pseudo("segmenter", 0.0, options=dict(loss_weight=weight))
        logged.append(losses_of(model, raw_batch(scope, LABELED, UNLABELED)))
    one, quarter = logged
    torch.testing.assert_close(
        torch.as_tensor(quarter["pseudo.decode.loss_ce"]), torch.as_tensor(one["pseudo.decode.loss_ce"]) / 4
    )
    assert quarter["student.decode.loss_ce"] == one["student.decode.loss_ce"]
    assert quarter["distill.loss_dist"] == one["distill.loss_dist"]


@pytest.mark.parametrize("name", ["segmenter", "detector"])
def test_the_student_sees_the_strong_view_and_the_teacher_the_images(name: str) -> None:
    scope, model = pseudo(name, options=dict(strong_view=dict(blur=3)))
    seen: dict[str, list[Tensor]] = {"student": [], "teacher": []}
    for side in seen:
        keep = seen[side].append
        getattr(model, side).backbone.register_forward_pre_hook(lambda _, args, keep=keep: keep(args[0].clone()))
    batch = raw_batch(scope, LABELED, UNLABELED)
    data = model.data_preprocessor(deepcopy(batch), True)
    rest = data["unlabeled"]
    model(**deepcopy(data), mode="loss")
    weak, strong = seen["teacher"][-1], seen["student"][-1]
    assert torch.equal(weak, rest["inputs"]) and not torch.allclose(strong, weak, atol=0.05)
    outside = ~content(rest["inputs"], rest["data_samples"])[:, None].expand_as(weak)
    assert bool(outside.any()) and torch.equal(strong[outside], rest["inputs"][outside])
    assert torch.equal(seen["student"][0], data["inputs"])


def test_a_view_without_change_gives_the_pixels_back() -> None:
    _, model = pseudo("segmenter")
    view = StrongView(model.student, brightness=0, contrast=0, saturation=0, hue=0)
    data = model.data_preprocessor(raw_batch("mmseg", (), UNLABELED), True)
    torch.testing.assert_close(view(data["inputs"], data["data_samples"]), data["inputs"], atol=1e-4, rtol=0)


def test_the_strong_view_is_the_same_in_a_run_that_was_resumed_and_draws_nothing_of_the_students() -> None:
    values = []
    for _ in range(2):
        scope, model = pseudo("segmenter", 0.0, options=dict(strong_view={}))
        found = losses_of(model, raw_batch(scope, LABELED, UNLABELED))
        values.append(found["pseudo.decode.loss_ce"])
    plain = losses_of(deepcopy(model.student), raw_batch(scope, LABELED))
    assert values[0] == values[1] and torch.equal(found["numbers"], plain["numbers"])


def test_where_the_distillation_has_stopped_pseudo_labels_have_too() -> None:
    scope, model = pseudo("segmenter", 0.0)
    model.distillation_stopped = True
    assert not any(key.startswith("pseudo.") for key in losses_of(model, raw_batch(scope, LABELED, UNLABELED)))


def test_a_teacher_that_cannot_predict_is_named_and_not_the_student() -> None:
    scope, model = pseudo("detector")

    def fails(*args: Any, **kwargs: Any) -> None:
        raise RuntimeError("no boxes here")

    model.teacher.bbox_head.predict_by_feat = fails
    with pytest.raises(ConfigError) as caught:
        losses_of(model, raw_batch(scope, LABELED, UNLABELED))
    assert caught.value.key == "model.teacher"


WRONG = [
    (dict(), "model.pseudo_labels.score_thr"),
    (dict(score_thr="high"), "model.pseudo_labels.score_thr"),
    (dict(score_thr=1.5), "model.pseudo_labels.score_thr"),
    (dict(score_thr=float("nan")), "model.pseudo_labels.score_thr"),
    (dict(score_thr=True), "model.pseudo_labels.score_thr"),
    (dict(score_thr=0.5, loss_weight=-1), "model.pseudo_labels.loss_weight"),
    (dict(score_thr=0.5, los_weight=1), "model.pseudo_labels.los_weight"),
    (dict(score_thr=0.5, strong_view=dict(hue=0.7)), "model.pseudo_labels.strong_view.hue"),
    (dict(score_thr=0.5, strong_view=dict(blur=4)), "model.pseudo_labels.strong_view.blur"),
    (dict(score_thr=0.5, strong_view=True), "model.pseudo_labels.strong_view"),
    (0.5, "model.pseudo_labels"),
]


@pytest.mark.parametrize(("options", "key"), WRONG)
def test_a_value_that_cannot_work_is_answered_when_the_model_is_built(options: Any, key: str) -> None:
    with pytest.raises(ConfigError) as caught:
        built("segmenter", pseudo_labels=options)
    assert caught.value.key == key


def test_models_that_do_not_go_together_are_refused() -> None:
    others = deepcopy(MODELS_OF["classifier"][1])
    others["head"]["num_classes"] = 5
    student = built("classifier")[1].student
    with pytest.raises(ConfigError) as caught:
        built("classifier", teacher=others, distiller=None, pseudo_labels=dict(score_thr=0.5))
    assert caught.value.key == "model.teacher"
    with pytest.raises(ConfigError) as caught:
        PseudoLabels(student, built("segmenter")[1].student, score_thr=0.5)
    assert caught.value.key == "model.teacher"
    with pytest.raises(ConfigError) as caught:
        built("segmenter", teacher_trainable=True, pseudo_labels=dict(score_thr=0.5))
    assert caught.value.key == "model.teacher_trainable"
