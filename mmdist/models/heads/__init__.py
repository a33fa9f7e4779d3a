"""Registered heads: what answers beside the model's own head, and is gone with the distiller."""

from mmdist.models.heads.sdd_head import SDDHead

__all__ = ["SDDHead"]
