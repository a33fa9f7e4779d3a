"""Everything that a diagnosis found."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from mmdist.apis.diagnosis.findings import Finding
from mmdist.apis.diagnosis.losses import Losses
from mmdist.apis.diagnosis.measures import Measured
from mmdist.apis.diagnosis.models import Weights
from mmdist.apis.diagnosis.predictions import Predictions
from mmdist.apis.diagnosis.steps import Steps


@dataclass
class Diagnosis:
    """What was measured, and what is wrong.

    Args:
        config (str): What was looked at.
        weights (dict[str, Weights]): Where the weights of each model come from.
        predicted (Predictions): On the validation images.
        losses (Losses): On the training batches.
        steps (Steps): Times, memory and what moved.
        findings (list[Finding]): The serious ones first.
        notes (list[str]): What a reader has to know about the numbers.
    """

    config: str
    weights: dict[str, Weights] = field(default_factory=dict)
    predicted: Predictions = field(default_factory=Predictions)
    losses: Losses = field(default_factory=Losses)
    steps: Steps = field(default_factory=Steps)
    findings: list[Finding] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def serious(self) -> bool:
        """The training would be wasted.

        Example:
            >>> Diagnosis('a.py').serious
            False
        """
        return any(finding.serious for finding in self.findings)

    def __str__(self) -> str:
        from mmdist.apis.diagnosis.text import report

        return report(self)

    def as_dict(self) -> dict[str, Any]:
        """Everything, for programs; shares from 0 to 1, lengths as they are, times in seconds."""
        return {
            "config": self.config,
            "weights": {side: found.as_dict() for side, found in self.weights.items()},
            "images": self.predicted.images,
            "metrics": {side: _metric(found) for side, found in self.predicted.measured.items()},
            "variants": {name: _metric(found) for name, found in self.predicted.variants.items()},
            "losses": {name: row.as_dict() for name, row in self.losses.rows.items()},
            "steps": self.steps.as_dict(),
            "findings": [finding.as_dict() for finding in self.findings],
            "notes": self.notes,
        }


def _metric(measured: Measured) -> dict[str, Any]:
    return {"metric": measured.metric, "value": measured.value, "chance": measured.chance}
