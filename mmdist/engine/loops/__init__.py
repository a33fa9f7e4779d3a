"""Loops that a config can name, scope ``mmdist``."""

from __future__ import annotations

from mmdist.engine.loops.val_loop import DistillValLoop

__all__ = ["DistillValLoop"]
