"""Pseudo-labels: what the teacher decides about an image without labels, as the student's labels."""

from mmdist.models.algorithms.pseudo_labels.decisions import decider
from mmdist.models.algorithms.pseudo_labels.labels import PseudoLabels, make_pseudo_labels

__all__ = ["PseudoLabels", "decider", "make_pseudo_labels"]
