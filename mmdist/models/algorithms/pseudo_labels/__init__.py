"""Pseudo-labels: what the teacher decides about an image without labels, as the student's labels."""

from mmdist.models.algorithms.pseudo_labels.labelers import make_labeler
from mmdist.models.algorithms.pseudo_labels.labels import PseudoLabels, make_pseudo_labels

__all__ = ["PseudoLabels", "make_labeler", "make_pseudo_labels"]
