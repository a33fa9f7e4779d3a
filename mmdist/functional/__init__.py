"""The mathematics of distillation: tensors in, tensors out, torch alone."""

from mmdist.functional.labels import valid_mask
from mmdist.functional.relation import acclimation_loss, channel_relation_loss, dist_loss, spatial_relation_loss

__all__ = ["acclimation_loss", "channel_relation_loss", "dist_loss", "spatial_relation_loss", "valid_mask"]
