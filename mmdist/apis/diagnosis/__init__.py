"""``mmdist doctor CONFIG``: what is wrong with a distillation, before its long training."""

from __future__ import annotations

from mmdist.apis.diagnosis.diagnosis import Diagnosis
from mmdist.apis.diagnosis.findings import Finding
from mmdist.apis.diagnosis.main import doctor

__all__ = ["Diagnosis", "Finding", "doctor"]
