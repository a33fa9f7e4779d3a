"""Classes in another order: a model that is right, but for the numbers."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from mmdist.apis.diagnosis.measures import mean_recall

MOST = 0.5  # of a class is predicted as the other one, in both halves of the images
SOME = 0.2  # likewise, where the classes exchange their places
LITTLE = 0.25  # times that is predicted as the class itself


class Permutation(NamedTuple):
    """What classes stand where.

    Args:
        moved (dict[int, int]): For each class that is elsewhere the number under which the model has it.
        before (float): Mean recall of the classes as they are.
        after (float): Mean recall if the moved classes were read under their numbers.
    """

    moved: dict[int, int]
    before: float
    after: float


def find_permutation(halves: tuple[Tensor, Tensor], numbers: list[int] | None = None) -> Permutation | None:
    """The classes whose samples are predicted as one other class each, and hardly as themselves.

    In each half of the data the best one-to-one assignment of predictions to labels is found. A class counts as moved
    where both agree. A model that takes a rare class for a similar one moves no class: it would have to take the
    similar one for a third, and so on back to the first. Guesses cannot do that, and a weak model does not, so a fifth
    of the samples is enough. Where half of all classes have most of their samples elsewhere, the circle need not be
    closed: some of the classes may be in no label of these images.

    Args:
        halves (tuple[Tensor, Tensor]): (C, K) counts of each half, labels in rows and predictions in columns.
        numbers (list[int], optional): The class of each row and column; by default their own number.

    Returns:
        Permutation | None: None: the classes are where they should be.

    Example:
        >>> half = torch.tensor([[0, 9, 1], [1, 0, 9], [8, 1, 1]])
        >>> find_permutation((half, half)).moved
        {0: 1, 1: 2, 2: 0}
        >>> find_permutation((torch.eye(3), torch.eye(3))) is None
        True
    """
    present = [half.sum(1) > 0 for half in halves]
    moved = _closed(_agreed(_moved(halves[0], SOME), _moved(halves[1], SOME)))
    mostly = _agreed(_moved(halves[0], MOST), _moved(halves[1], MOST))
    classes = int((present[0] & present[1]).sum())
    if len(mostly) >= max(2, (classes + 1) // 2):
        moved |= mostly
    if len(moved) < 2:
        return None
    whole = halves[0] + halves[1]
    before, after = mean_recall(whole), mean_recall(whole, moved)
    if before is None or after is None:
        return None
    if numbers is not None:
        moved = {numbers[own]: numbers[other] for own, other in moved.items()}
    return Permutation(moved, before, after)


def _moved(half: Tensor, least: float) -> dict[int, int]:
    """The classes of one half of which at least this share is predicted as another one."""
    from scipy.optimize import linear_sum_assignment

    counts = half.double()
    labeled, predicted = counts.sum(1, keepdim=True), counts.sum(0, keepdim=True)
    shares = counts / labeled.clamp(min=1)
    # By IoU a rare class that is lost among the predictions of a frequent one does not take that one's place. Of equal
    # assignments the one that moves less.
    overlaps = counts / (labeled + predicted - counts).clamp(min=1)
    gain = overlaps + 1e-6 * torch.eye(*counts.shape, dtype=counts.dtype)
    rows, columns = linear_sum_assignment(gain.numpy(), maximize=True)
    return {
        int(i): int(j)
        for i, j in zip(rows, columns, strict=True)
        if i != j and shares[i, j] >= least and shares[i, i] <= LITTLE * shares[i, j]
    }


def _agreed(first: dict[int, int], second: dict[int, int]) -> dict[int, int]:
    return {label: other for label, other in first.items() if second.get(label) == other}


def _closed(moved: dict[int, int]) -> dict[int, int]:
    """Those that lead back to where they began."""
    kept = {}
    for start in moved:
        path, place = [start], moved[start]
        while place in moved and place != start and place not in path:
            path.append(place)
            place = moved[place]
        if place == start:
            kept[start] = moved[start]
    return kept
