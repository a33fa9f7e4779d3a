"""The mathematics of distillation: tensors in, tensors out, torch alone."""

from mmdist.functional.labels import valid_mask
from mmdist.functional.relation import dist_loss, pearson_distance

__all__ = ["dist_loss", "pearson_distance", "valid_mask"]
