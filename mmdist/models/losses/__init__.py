"""Registered losses: hyper-parameters, levels and labels around ``mmdist.functional``."""

from mmdist.models.losses.dist_loss import DISTLoss

__all__ = ["DISTLoss"]
