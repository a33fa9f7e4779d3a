"""What to do next, from the numbers: what they cannot show, what they warn of, what is worth trying."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from mmdist.apis.comparison.cells import PLAIN
from mmdist.apis.comparison.evidence_advice import evidence_advice
from mmdist.apis.comparison.fairness_advice import fairness_advice
from mmdist.apis.comparison.findings import Findings
from mmdist.apis.comparison.line_names import arm_name
from mmdist.apis.comparison.results import Row, Setting
from mmdist.apis.comparison.training_advice import training_advice
from mmdist.errors import printable

Gaps = Mapping[str, Sequence[tuple[str, float, float]]]

# A distillation loss may well pull harder than the task: ratios of 1 to 3 are those of good runs.
HARD, WEAK = 5.0, 0.1
AGAINST = -0.1  # a cosine within 0.1 of 0 is neither for nor against


def advice(rows: Sequence[Row], setting: Setting, gaps: Gaps | None = None) -> list[str]:
    """Sentences that say what the numbers mean for the next run.

    Args:
        rows (Sequence[Row]): All rows.
        setting (Setting): What was compared.
        gaps (Mapping, optional): By arm, for each of its losses the name, the length of its gradient in that of the
            task loss's, and the cosine between the two.

    Returns:
        list[str]: Plain text, the most important first; names from files are made printable, and still have to be
            escaped for Markdown or HTML.

    Example:
        >>> from mmdist.apis.comparison.results import Metric
        >>> arms = {'plain': 'plain student', 'kd': 'KD'}
        >>> setting = Setting('Digits', Metric('mIoU', 'mIoU'), 800, 'iterations', (0,), arms, {}, 'val', 'test')
        >>> rows = [Row('final', arm, 0, 800, 1.0, 1.0, 70.0) for arm in arms]
        >>> print(advice(rows, setting)[0])
        One seed says nothing about noise: the next seed may turn every difference round. Train at least 3 seeds.
    """
    found = Findings.of(rows, setting)
    if not any(line.values for line in found.lines):
        return _nothing_yet(found)
    return [
        *evidence_advice(found),
        *training_advice(found),
        *loss_advice(setting, gaps or {}),
        *fairness_advice(found),
    ]


def loss_advice(setting: Setting, gaps: Gaps) -> list[str]:
    """Losses that are far from the task loss in size or direction.

    Args:
        setting (Setting): What was compared.
        gaps (Mapping): As in :func:`advice`.
    """
    said = []
    for arm, losses in gaps.items():
        for loss, ratio, cosine in losses:
            name = f"{arm_name(arm, setting)}, loss {printable(loss)}"
            if ratio > HARD:
                said.append(f"{name}: its gradient is {ratio:.3g} times as long as the task's. Try a lower weight.")
            elif ratio < WEAK:
                said.append(
                    f"{name}: its gradient is {ratio:.2g} times as long as the task's, so it hardly counts. "
                    "Try a higher weight."
                )
            if cosine < AGAINST:
                said.append(
                    f"{name}: it pulls against the task (cosine {cosine:.2f}). Try a lower weight, or leave it."
                )
            if ratio != ratio or cosine != cosine:
                said.append(f"{name}: its gradient is not a number. Look for overflow, in half precision first.")
    return said


def _nothing_yet(found: Findings) -> list[str]:
    failed = [row for row in found.rows if row.arm == PLAIN and row.failed]
    if failed:
        return [f"The plain student failed, so there is nothing to compare with: {printable(failed[0].failed)}"]
    return ["No training that is to be reported has ended yet."]
