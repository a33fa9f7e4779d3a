"""Registered weightings of the student's task loss."""

from mmdist.models.weightings.rdd import RDDWeighting

__all__ = ["RDDWeighting"]
