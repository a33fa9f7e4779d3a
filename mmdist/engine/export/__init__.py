"""A student by itself, out of the checkpoint of a distillation run."""

from mmdist.engine.export.main import Report, export_student

__all__ = ["Report", "export_student"]
