"""What a student has not learnt from its teacher, and whether the distillation and the task pull together."""

from mmdist.engine.gap.main import GapOptions, gap_report

__all__ = ["GapOptions", "gap_report"]
