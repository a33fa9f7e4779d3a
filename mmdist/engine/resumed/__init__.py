"""What a checkpoint says of the run to go on from: data, checked by type and range before anything uses it."""

from __future__ import annotations

from mmdist.engine.resumed.check import check_content, check_for_runner, leave_out

__all__ = ["check_content", "check_for_runner", "leave_out"]
