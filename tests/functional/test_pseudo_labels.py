"""Hard labels against a float64 formula, position by position."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from mmdist.functional import hard_labels

SCORES = torch.randn(3, 5, 4, 6, generator=torch.Generator().manual_seed(2)) * 3


def expected(scores: Tensor, threshold: float, activation: str) -> Tensor:
    scores = scores.double()
    if activation == "softmax":
        shares = torch.exp(scores) / torch.exp(scores).sum(1, keepdim=True)
    elif activation == "sigmoid":
        shares = 1 / (1 + torch.exp(-scores))
    else:
        shares = scores / scores.sum(1, keepdim=True)
    labels = torch.full((scores.shape[0], *scores.shape[2:]), 255)
    for index in torch.cartesian_prod(*map(torch.arange, labels.shape)).tolist():
        row = shares[index[0], :, index[1], index[2]]
        best = max(range(len(row)), key=lambda position: float(row[position]))
        if row[best] >= threshold:
            labels[tuple(index)] = best
    return labels


@pytest.mark.parametrize("activation", ["softmax", "sigmoid", "none"])
@pytest.mark.parametrize("threshold", [0.0, 0.45, 0.9])
def test_each_position_has_the_class_that_is_surest_or_none(activation: str, threshold: float) -> None:
    scores = SCORES.abs() if activation == "none" else SCORES
    found = hard_labels(scores, threshold, activation=activation)
    assert torch.equal(found, expected(scores, threshold, activation))
    if threshold == 0.45:
        assert 0 < int((found == 255).sum()) < found.numel() or activation == "sigmoid"


def test_one_channel_is_a_question_of_yes_or_no_and_no_can_be_sure_too() -> None:
    scores = torch.tensor([4.0, 0.5, -0.5, -4.0]).reshape(1, 1, 2, 2)
    assert hard_labels(scores, 0.9, activation="sigmoid").flatten().tolist() == [1, 255, 255, 0]
    assert hard_labels(scores, activation="sigmoid", positive_thr=0.3).flatten().tolist() == [1, 1, 1, 0]
    with pytest.raises(ValueError, match="sigmoid"):
        hard_labels(scores)


def test_images_of_a_classifier_and_half_precision_are_decided_alike() -> None:
    rows = SCORES[:, :, 0, 0]
    assert torch.equal(hard_labels(rows.half(), 0.3), hard_labels(rows.half().float(), 0.3))
    assert hard_labels(rows, 0.3, ignore_index=-7).shape == (3,)


def test_scores_that_are_all_nothing_are_unsure_and_huge_ones_do_not_overflow() -> None:
    assert hard_labels(torch.zeros(1, 3, 2), 0.1, activation="none").tolist() == [[255, 255]]
    assert hard_labels(torch.tensor([[1e30, -1e30]]), 0.99).tolist() == [0]


def test_an_unknown_activation_is_answered_and_nothing_has_a_gradient() -> None:
    with pytest.raises(ValueError, match="activation"):
        hard_labels(SCORES, activation="softmx")
    assert not hard_labels(SCORES.clone().requires_grad_()).requires_grad
