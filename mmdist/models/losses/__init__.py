"""Registered losses: hyper-parameters, levels and labels around ``mmdist.functional``."""

from mmdist.models.losses.acclimation_loss import AcclimationLoss
from mmdist.models.losses.dckd_loss import DCKDLoss
from mmdist.models.losses.dist_loss import DISTLoss
from mmdist.models.losses.dkd_loss import DKDLoss
from mmdist.models.losses.kd_loss import KDLoss
from mmdist.models.losses.nkd_loss import NKDLoss
from mmdist.models.losses.relation_loss import ChannelRelationLoss, SpatialRelationLoss
from mmdist.models.losses.sdd_loss import SDDLoss

__all__ = [
    "AcclimationLoss",
    "ChannelRelationLoss",
    "DCKDLoss",
    "DISTLoss",
    "DKDLoss",
    "KDLoss",
    "NKDLoss",
    "SDDLoss",
    "SpatialRelationLoss",
]
