"""Chance, beside what random predictions get; images chosen for halves that check each other."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
import torch
from sklearn.metrics import cohen_kappa_score

from mmdist.apis.diagnosis.data import choose
from mmdist.apis.diagnosis.measures import accuracy, at_chance, clearly_better, expected_by_chance, mean_recall


def confusion_of(labels: np.ndarray, predicted: np.ndarray, classes: int) -> torch.Tensor:
    pairs = torch.from_numpy(labels * classes + predicted)
    return torch.bincount(pairs, minlength=classes * classes).reshape(classes, classes)


def test_chance_is_what_shuffled_predictions_get() -> None:
    rng = np.random.default_rng(0)
    labels, predicted = rng.choice(3, 3000, p=[0.7, 0.2, 0.1]), rng.choice(3, 3000, p=[0.5, 0.4, 0.1])
    got = np.mean([np.mean(labels == rng.permutation(predicted)) for _ in range(50)])
    assert accuracy(expected_by_chance(confusion_of(labels, predicted, 3))) == pytest.approx(got, abs=0.005)


@pytest.mark.parametrize(("images", "classes"), [(32, 2), (32, 10), (500, 100)])
def test_guesses_are_at_chance_nearly_always_and_good_predictions_never(images: int, classes: int) -> None:
    rng = np.random.default_rng(0)
    guessed, good = 0, 0
    for _ in range(50):
        labels = rng.integers(0, classes, images)
        guesses = rng.integers(0, classes, images)
        right = np.where(rng.random(images) < 0.8, labels, guesses)
        guessed += at_chance(confusion_of(labels, guesses, classes), images)
        good += at_chance(confusion_of(labels, right, classes), images)
    assert guessed >= 46 and good == 0


def test_the_bound_for_many_images_is_a_kappa_of_a_tenth() -> None:
    rng = np.random.default_rng(1)
    for share in (0.05, 0.2):
        labels, guesses = rng.integers(0, 4, 5000), rng.integers(0, 4, 5000)
        predicted = np.where(rng.random(5000) < share, labels, guesses)
        expected = cohen_kappa_score(labels, predicted) < 0.1
        assert at_chance(confusion_of(labels, predicted, 4), 5000) == expected == (share < 0.1)


def test_mean_recall_leaves_out_classes_that_are_in_no_image() -> None:
    assert mean_recall(torch.tensor([[3, 1, 0], [0, 0, 0], [2, 0, 2]])) == pytest.approx((0.75 + 0.5) / 2)
    assert mean_recall(torch.zeros(2, 2)) is None


def test_equal_predictions_are_rarely_called_better_and_few_images_never() -> None:
    rng = np.random.default_rng(0)
    hits = sum(clearly_better(list(rng.random(32)), list(rng.random(32))) for _ in range(200))
    assert hits <= 10
    assert not clearly_better([0.0] * 5, [1.0] * 5)
    assert clearly_better([0.0] * 6, [1.0] * 6)


def test_chosen_images_are_spread_and_each_class_is_in_both_halves() -> None:
    labels = [label for label in range(10) for _ in range(30)]
    chosen = choose(labels, 300, 32)
    halves = [Counter(labels[index] for index, half in chosen if half == side) for side in (0, 1)]
    assert len(chosen) == len({index for index, _ in chosen}) == 32
    assert set(halves[0]) == set(halves[1]) == set(range(10))


def test_of_more_classes_than_images_some_are_looked_at_twice() -> None:
    labels = [label for label in range(1000) for _ in range(5)]
    chosen = choose(labels, 5000, 32)
    seen = Counter(labels[index] for index, _ in chosen)
    assert len(seen) == 16 and set(seen.values()) == {2}
    assert min(seen) == 0 and max(seen) == 999


@pytest.mark.parametrize(("total", "count"), [(5, 32), (500, 32), (1, 1), (0, 4), (9, 1)])
def test_no_image_is_taken_twice(total: int, count: int) -> None:
    chosen = choose(None, total, count)
    assert len(chosen) == len(set(chosen)) == min(total, count)
    assert all(index < total for index, _ in chosen)
