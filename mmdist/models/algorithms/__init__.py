"""Registered algorithms: what one training iteration does with teacher and student."""

from mmdist.models.algorithms.single_teacher_distill import SingleTeacherDistill

__all__ = ["SingleTeacherDistill"]
