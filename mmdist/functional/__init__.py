"""The mathematics of distillation: tensors in, tensors out, torch alone."""

from mmdist.functional.difficulty import (
    entropy_weight,
    label_probability,
    rdd_hard_mask,
    rdd_relative_mask,
    rdd_teacher_weight,
)
from mmdist.functional.divergence import dckd_loss, dkd_loss, kd_loss, nkd_loss
from mmdist.functional.labels import nearest_labels
from mmdist.functional.pseudo_labels import decision_confidence, hard_labels
from mmdist.functional.regions import pool_regions, region_labels, sdd_loss
from mmdist.functional.relation import acclimation_loss, channel_relation_loss, dist_loss, spatial_relation_loss
from mmdist.functional.resizing import resize_images, resize_maps

__all__ = [
    "acclimation_loss",
    "channel_relation_loss",
    "dckd_loss",
    "decision_confidence",
    "dist_loss",
    "dkd_loss",
    "entropy_weight",
    "hard_labels",
    "kd_loss",
    "label_probability",
    "nearest_labels",
    "nkd_loss",
    "pool_regions",
    "rdd_hard_mask",
    "rdd_relative_mask",
    "rdd_teacher_weight",
    "region_labels",
    "resize_images",
    "resize_maps",
    "sdd_loss",
    "spatial_relation_loss",
]
