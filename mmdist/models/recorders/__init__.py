"""Registered recorders: what one model instance computes, kept for the distillation losses."""

from mmdist.models.recorders.method import MethodRecorder
from mmdist.models.recorders.module import ModuleRecorder

__all__ = ["MethodRecorder", "ModuleRecorder"]
