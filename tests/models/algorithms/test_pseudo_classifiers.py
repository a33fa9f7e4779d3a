"""Classifiers that give an image several labels learn the classes that the teacher is sure of, and no others."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest
import torch
from helpers.pseudo_models import labelled_by, pair_of, unlabelled_part
from helpers.unlabeled_data import raw_batch
from helpers.unlabeled_models import MODELS_OF, UNLABELED
from torch import Tensor

from mmdist.errors import ConfigError

CLASSIFIER = MODELS_OF["classifier"][1]


def several(**loss: Any) -> dict[str, Any]:
    """A classifier with several labels an image."""
    model = deepcopy(CLASSIFIER)
    loss = {"type": "CrossEntropyLoss", "use_sigmoid": True, **loss}
    model["head"] = dict(type="MultiLabelLinearClsHead", num_classes=3, in_channels=32, thr=0.5, loss=loss)
    return model


@pytest.mark.parametrize("loss", [{}, dict(type="AsymmetricLoss")])
def test_of_several_labels_the_sure_ones_teach_and_the_others_do_not(loss: dict[str, Any]) -> None:
    model = pair_of("mmpretrain", several(**loss), calculate_student_loss=False)
    rest = unlabelled_part("mmpretrain", model)
    with torch.no_grad():
        answers = model.teacher(rest["inputs"], deepcopy(rest["data_samples"]), mode="predict")
    p = torch.stack([answer.pred_score for answer in answers])
    confidence = torch.maximum(p, 1 - p)
    model.pseudo_labels.score_thr = float(confidence.median())
    sure, targets = confidence >= confidence.median(), (p >= 0.5).float()
    assert 0 < int(sure.sum()) < sure.numel()
    seen: list[Tensor] = []
    model.student.head.fc.register_forward_hook(lambda _, args, output: seen.append(output))
    data = model.data_preprocessor(raw_batch("mmpretrain", (), UNLABELED), True)
    found = model(**data, mode="loss")["pseudo.loss"]
    (gradient,) = torch.autograd.grad(found, seen[-1])
    assert not bool(gradient[~sure].any()) and bool((gradient[sure] != 0).all())
    if not loss:
        each = torch.nn.functional.binary_cross_entropy_with_logits(seen[-1], targets, reduction="none")
        torch.testing.assert_close(found, (each * sure).sum() / len(p))


def test_heads_of_one_label_and_of_several_do_not_go_together() -> None:
    for student, teacher in ((several(), CLASSIFIER), (CLASSIFIER, several())):
        with pytest.raises(ConfigError) as caught:
            pair_of("mmpretrain", student, teacher)
        assert caught.value.key == "model.teacher.head"


def test_the_labels_are_those_that_the_teacher_predicts() -> None:
    model = pair_of("mmpretrain", several())
    rest = unlabelled_part("mmpretrain", model)
    with torch.no_grad():
        answers = model.teacher(rest["inputs"], deepcopy(rest["data_samples"]), mode="predict")
    _, samples = labelled_by(model, rest)
    for sample, answer in zip(samples, answers, strict=True):
        assert torch.equal(sample.gt_label, answer.pred_label)
