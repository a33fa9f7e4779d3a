"""Expected calibration error, and what a reliability diagram shows."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from mmdist.engine.gap.findings import Bin, Calibration, number

BINS = 15


def calibration(confidence: Tensor, correct: Tensor, bins: int = BINS) -> Calibration:
    """How far the confidence of predictions is from the share of them that is right.

    ECE = sum_b n_b / N * |correct_b - confidence_b| over bins b of equal width, n_b of N predictions in each.

    Args:
        confidence (Tensor): (N,) probabilities of the predictions, 0 to 1.
        correct (Tensor): (N,) bool: they are right.
        bins (int): How many.

    Returns:
        Calibration: The error is None for no predictions at all.

    Example:
        >>> calibration(torch.tensor([0.75, 0.75]), torch.tensor([True, False])).error
        0.25
    """
    from scipy.stats import binned_statistic
    from torchmetrics.functional.classification import binary_calibration_error

    if not confidence.numel():
        return Calibration(None, [])
    confidence = confidence.detach().double().cpu().clamp(0, 1)
    correct = correct.detach().cpu()
    error = binary_calibration_error(confidence, correct.long(), n_bins=bins, norm="l1")
    values = [confidence.numpy(), correct.double().numpy()]
    means, edges, _ = binned_statistic(confidence.numpy(), values, statistic="mean", bins=bins, range=(0, 1))
    counts = np.histogram(confidence.numpy(), bins=edges)[0]
    filled = [Bin(int(n), float(c), float(r)) for n, c, r in zip(counts, *means, strict=True) if n]
    return Calibration(number(error), filled)


class PixelSample:
    """A random choice of predictions, the same in every run.

    Args:
        quota (int): How many of each batch are kept.
        seed (int): Of the choice.
    """

    def __init__(self, quota: int, seed: int = 0) -> None:
        self.quota = quota
        self.generator = torch.Generator().manual_seed(seed)

    def choose(self, count: int) -> Tensor:
        """Which of ``count`` are kept.

        Args:
            count (int): How many there are.

        Returns:
            Tensor: (min(count, quota),) indices.

        Example:
            >>> PixelSample(5).choose(3), len(PixelSample(5).choose(100))
            (tensor([0, 1, 2]), 5)
        """
        if count <= self.quota:
            return torch.arange(count)
        return torch.randperm(count, generator=self.generator)[: self.quota]
