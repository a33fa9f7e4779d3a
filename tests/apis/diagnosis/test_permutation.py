"""Permuted classes are told from weak, random and rare ones, on counts made for it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from mmdist.apis.diagnosis.measures import at_chance
from mmdist.apis.diagnosis.permutation import find_permutation


def counts(order: list[int], share: float, samples: int = 40, seed: int = 0) -> Tensor:
    """Predictions of a model that says ``order[i]`` for class i in this share of its samples, and else anything."""
    rng = np.random.default_rng(seed)
    confusion = np.zeros((len(order), len(order)), dtype=int)
    for label, said in enumerate(order):
        for right in rng.random(samples) < share:
            confusion[label, said if right else rng.integers(len(order))] += 1
    return torch.from_numpy(confusion)


def halves(order: list[int], share: float) -> tuple[Tensor, Tensor]:
    return counts(order, share, seed=1), counts(order, share, seed=2)


@pytest.mark.parametrize("share", [0.45, 0.7, 1.0])
def test_an_order_is_found_whole(share: float) -> None:
    order = [3, 0, 1, 2, 4, 5, 7, 6]
    found = find_permutation((counts(order, share, 200, 1), counts(order, share, 200, 2)))
    assert found.moved == {0: 3, 1: 0, 2: 1, 3: 2, 6: 7, 7: 6}
    assert found.after > share - 0.1 > found.before


def test_two_of_many_classes_are_enough() -> None:
    order = list(range(20))
    order[4], order[17] = 17, 4
    assert find_permutation(halves(order, 0.8)).moved == {4: 17, 17: 4}


@pytest.mark.parametrize("share", [0.2, 0.5, 1.0])
def test_classes_in_their_order_are_left_alone_however_weak_the_model_is(share: float) -> None:
    assert find_permutation(halves(list(range(8)), share)) is None


@pytest.mark.parametrize("seed", range(20))
def test_a_model_that_guesses_has_no_order(seed: int) -> None:
    rng = np.random.default_rng(seed)
    guesses = torch.from_numpy(rng.multinomial(2, [1 / 100] * 100, size=100))
    others = torch.from_numpy(rng.multinomial(2, [1 / 100] * 100, size=100))
    assert find_permutation((guesses, others)) is None
    assert at_chance(guesses + others, 400)


def test_a_class_that_is_taken_for_a_similar_one_is_not_moved() -> None:
    one = counts([0, 1, 2, 2, 4], 1.0)  # trucks and buses are all called trucks
    assert find_permutation((one, one)) is None


def test_rare_classes_that_are_lost_in_a_frequent_one_do_not_hide_an_order() -> None:
    """As a weak segmenter of streets: signs and poles are all called what buildings are called."""
    rows = [0, 960, 40, 0, 0], [0, 100, 880, 0, 20], [880, 0, 120, 0, 0], [0, 0, 30, 0, 0], [0, 1, 39, 0, 0]
    one = torch.tensor(rows)
    assert find_permutation((one, one)).moved == {0: 1, 1: 2, 2: 0}


def test_a_constant_prediction_has_no_order() -> None:
    one = counts([2, 2, 2], 1.0)
    assert find_permutation((one, one)) is None
    assert at_chance(one + one, 240)


def test_an_order_in_which_the_labels_of_these_images_do_not_close_is_found() -> None:
    confusion = torch.zeros(50, 50, dtype=torch.long)
    for label in range(8):
        confusion[label, 20 + label] = 3
    assert find_permutation((confusion, confusion)).moved == {label: 20 + label for label in range(8)}


def test_what_only_one_half_shows_is_not_believed() -> None:
    assert find_permutation((counts([1, 0, 2], 1.0), counts([0, 1, 2], 1.0))) is None


def test_classes_are_told_by_their_numbers() -> None:
    half = counts([1, 0], 1.0)
    assert find_permutation((half, half), [7, 20000]).moved == {7: 20000, 20000: 7}
