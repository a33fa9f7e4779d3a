"""Registered losses: hyper-parameters, levels and labels around ``mmdist.functional``."""

from mmdist.models.losses.acclimation_loss import AcclimationLoss
from mmdist.models.losses.dist_loss import DISTLoss
from mmdist.models.losses.relation_loss import ChannelRelationLoss, SpatialRelationLoss

__all__ = ["AcclimationLoss", "ChannelRelationLoss", "DISTLoss", "SpatialRelationLoss"]
