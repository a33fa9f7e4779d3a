"""How good predictions are, as numbers that need no threshold of the user's."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass
class Measured:
    """A model's predictions on some images.

    Args:
        metric (str): accuracy, mIoU or AP50.
        value (float, optional): Of all images; None: there is nothing labelled.
        chance (float): What predictions would have that have nothing to do with the labels.
        halves (tuple[Tensor, Tensor]): (C, K) counts in each half of the images: labels in rows, predictions in
            columns. Of a detector, the objects that it found.
        scores (list[float]): How good the prediction of each image is, 0 to 1.
        confidence (float, optional): Mean probability of the predicted class; 0: all classes are equally probable.
        numbers (list[int], optional): The class of each row and column; by default their own number.
    """

    metric: str
    value: float | None
    chance: float
    halves: tuple[Tensor, Tensor]
    scores: list[float]
    confidence: float | None = None
    numbers: list[int] | None = None

    @property
    def confusion(self) -> Tensor:
        """Of all images."""
        return self.halves[0] + self.halves[1]


def expected_by_chance(confusion: Tensor) -> Tensor:
    """The counts that there would be if the predictions, as frequent as they are, were independent of the labels.

    Args:
        confusion (Tensor): (C, C) counts.

    Returns:
        Tensor: (C, C) float64.

    Example:
        >>> expected_by_chance(torch.tensor([[2, 0], [0, 2]])).tolist()
        [[1.0, 1.0], [1.0, 1.0]]
    """
    counts = confusion.double()
    return counts.sum(1, keepdim=True) * counts.sum(0, keepdim=True) / counts.sum().clamp(min=1)


def accuracy(confusion: Tensor) -> float | None:
    """Share of the samples on the diagonal; None without samples."""
    total = float(confusion.sum())
    return float(confusion.diagonal().sum()) / total if total else None


def mean_recall(confusion: Tensor, moved: dict[int, int] | None = None) -> float | None:
    """The share of each class that is predicted as it, averaged over the classes that are in the data.

    Args:
        confusion (Tensor): (C, K) counts.
        moved (dict[int, int], optional): Classes that count as right where another one is predicted.

    Returns:
        float | None: 0 to 1; None without samples.

    Example:
        >>> counts = torch.tensor([[0, 4], [4, 0]])
        >>> mean_recall(counts), mean_recall(counts, {0: 1, 1: 0})
        (0.0, 1.0)
    """
    counts = confusion.double()
    present = counts.sum(1) > 0
    if not bool(present.any()):
        return None
    rows = torch.arange(len(counts))
    columns = torch.tensor([(moved or {}).get(int(row), int(row)) for row in rows])
    return float((counts[rows, columns] / counts.sum(1).clamp(min=1))[present].mean())


def at_chance(confusion: Tensor, images: int) -> bool:
    """Whether predictions are no better than guesses that are as frequent (Cohen's kappa near 0).

    The bound is 0.1, or, for few images, two standard deviations of the kappa of guesses, 0.5 at most.

    Args:
        confusion (Tensor): (C, C) counts.
        images (int): How many images they are of; the pixels of one are not independent.

    Returns:
        bool: False without samples.

    Example:
        >>> at_chance(torch.tensor([[30, 30], [30, 30]]), 60), at_chance(torch.tensor([[9, 1], [1, 9]]), 20)
        (True, False)
    """
    share = accuracy(confusion)
    guessed = accuracy(expected_by_chance(confusion))
    if share is None or guessed is None:
        return False
    if guessed >= 1:  # one class, always predicted: nothing can be told
        return False
    kappa = (share - guessed) / (1 - guessed)
    deviation = math.sqrt(guessed * (1 - guessed) / max(images, 1)) / (1 - guessed)
    return kappa < max(0.1, min(2 * deviation, 0.5))


def clearly_better(scores: list[float], others: list[float], level: float = 0.02) -> bool:
    """Whether other predictions of the same images are better, beyond chance (Wilcoxon's signed-rank test).

    Args:
        scores (list[float]): Of each image.
        others (list[float]): Of each image, the other way.
        level (float): How often equally good ones may be called better.

    Returns:
        bool: Never for fewer than six images: no result of so few is beyond chance.

    Example:
        >>> clearly_better([0.1] * 8, [0.6 + 0.01 * i for i in range(8)]), clearly_better([0.5] * 8, [0.5] * 8)
        (True, False)
    """
    from scipy.stats import wilcoxon

    steps = [b - a for a, b in zip(scores, others, strict=True) if abs(b - a) > 1e-9]
    if len(steps) < 6:
        return False
    return float(wilcoxon(steps, alternative="greater").pvalue) < level
