"""The outcome: in words, in tables, and in numbers for programs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from mmdist.engine.gap.findings import SIDES, Findings, Number
from mmdist.engine.gap.gradients import WHOLE, PartGradients
from mmdist.engine.gap.text import NOTHING, against, confidence, percent, plain, points, sentence_of_gradients, table

MOST_CLASSES, FEW_CLASSES = 30, 5
LABELS = {
    "same_class": "both predict the same class",
    "top5_overlap": "of the teacher's five likeliest classes, among the student's",
    "kl": "KL(teacher, student) in nats",
    "both_right": "both right",
    "teacher_alone_right": "the teacher alone right",
    "student_alone_right": "the student alone right",
    "both_wrong": "both wrong",
    "teacher_detections": "detections of the teacher",
    "student_detections": "detections of the student",
    "found_by_student": "of the teacher's, the student has",
    "found_in_same_class": "of the teacher's, the student has in the same class",
    "student_alone": "of the student's, the teacher has not",
    "mean_iou": "mean IoU of a pair",
    "score_difference": "mean score of the teacher's minus the student's",
}
PLAIN = ("kl", "mean_iou", "score_difference")
FIGURES = {"classes": "classes.png", "reliability": "reliability.png", "gradients": "gradients.png"}


@dataclass(frozen=True)
class GapReport:
    """A gap report.

    Args:
        title (str): Name of the config.
        asked (dict[str, Any]): What it is of: config, checkpoint, teacher, split, pictures.
        command (str): What makes it again.
        versions (dict[str, str]): Of the packages.
        findings (Findings): What the predictions say.
        gradients (dict[str, PartGradients]): What the losses say; empty: not asked for.
        notices (list[str]): What a reader has to know.
    """

    title: str
    asked: dict[str, Any]
    command: str
    versions: dict[str, str]
    findings: Findings
    gradients: dict[str, PartGradients] = field(default_factory=dict)
    notices: list[str] = field(default_factory=list)

    def summary(self) -> str:
        """The main findings in words."""
        found = self.findings
        name, main = next(iter(found.overall.items()))
        lines = [
            f"On {self.asked['pictures']:,} pictures ({self.asked['split']}) the teacher has {name} "
            f"{percent(main.teacher)}, the student {percent(main.student)}: {against(main.gap)}.",
            _sentence_of_agreement(found.agreement),
        ]
        worst = [c for c in found.classes if c.scores.gap is not None and c.scores.gap > 0][:3]
        if worst:
            listed = ", ".join(f"{c.name} ({points(c.scores.gap)})" for c in worst)
            lines.append(f"The largest gaps in {found.metric}, in points: {listed}.")
        metric = {"segmentation": "accuracy", "detection": "recall"}.get(found.task)
        if metric and len(found.parts) > 1:
            listed = ", ".join(f"{name} {points(part.metrics[metric].gap)}" for name, part in found.parts.items())
            lines.append(f"By part, in {metric}: {listed}.")
        said = ", ".join(f"{side} {confidence(c.error, c.excess)}" for side, c in found.calibration.items())
        lines.append(f"Calibration error: {said}.")
        if self.gradients:
            lines.append(sentence_of_gradients(self.gradients[WHOLE].as_dict(), len(self.gradients[WHOLE].task)))
        return " ".join(lines)

    def markdown(self, *, short: bool = False) -> str:
        """Everything for people.

        Args:
            short (bool): For a terminal: no figures, few classes, nothing about how it was made.

        Returns:
            str: Markdown.
        """
        found = self.findings
        metrics = [[name, *_pair_cells(pair)] for name, pair in found.overall.items()]
        errors = [c.error for c in found.calibration.values()]
        metrics.append(["calibration error", percent(errors[0]), percent(errors[1]), points(_difference(*errors))])
        blocks = [f"# Gap between teacher and student: {self.title}", self.summary()]
        blocks += [f"Note: {notice}." for notice in [*self.notices, *found.notices]]
        blocks += ["## Both models", table(["", "teacher", "student", "difference"], metrics)]
        blocks += ["## Agreement", table(["", ""], [[LABELS[k], _cell(k, v)] for k, v in found.agreement.items()])]
        blocks += self._classes(FEW_CLASSES if short else MOST_CLASSES)
        blocks += [] if short else [f"![{found.metric} of each class]({FIGURES['classes']})"]
        blocks += self._parts()
        if not short:
            blocks += ["## Calibration", f"![Reliability diagram]({FIGURES['reliability']})"]
        blocks += self._gradients(short)
        if not short:
            versions = ", ".join(f"{name} {version}" for name, version in self.versions.items())
            blocks += ["## How this was made", f"```shell\n{self.command}\n```", f"{versions}."]
        return "\n\n".join(blocks) + "\n"

    def as_dict(self) -> dict[str, Any]:
        """Everything for programs."""
        parts = {name: part.as_dict() for name, part in self.gradients.items()}
        batches = len(self.gradients[WHOLE].task) if self.gradients else 0
        return {
            **self.asked,
            "command": self.command,
            "versions": self.versions,
            "notices": [*self.notices, *self.findings.notices],
            "summary": self.summary(),
            **{name: value for name, value in self.findings.as_dict().items() if name != "notices"},
            "gradients": {"batches": batches, "parts": parts},
        }

    def _classes(self, most: int) -> list[str]:
        found = self.findings
        rows = [[c.name, *_pair_cells(c.scores), f"{c.support:,}"] for c in found.classes[:most]]
        more = len(found.classes) - most
        head = ["class", "teacher", "student", "difference", found.unit]
        rest = [f"And {more} more, in gap.json."] if more > 0 else []
        return [f"## {found.metric[:1].upper()}{found.metric[1:]} of each class", table(head, rows), *rest]

    def _parts(self) -> list[str]:
        rows = []
        for name, part in self.findings.parts.items():
            for metric, pair in part.metrics.items():
                rows.append([name, f"{part.support:,}", metric, *_pair_cells(pair)])
        if not rows:
            return []
        title = {"segmentation": "Near the edges of labels, and inside", "detection": "Sizes"}
        head = ["part", self.findings.unit, "metric", "teacher", "student", "difference"]
        return [f"## {title.get(self.findings.task, 'Parts')}", table(head, rows)]

    def _gradients(self, short: bool) -> list[str]:
        if not self.gradients:
            return []
        rows = []
        for name, part in self.gradients.items():
            values = part.as_dict()
            ends = [plain(values["cosine_min"]), plain(values["cosine_max"])]
            span = " to ".join(ends) if part.cosines else NOTHING
            rows.append([name, plain(values["cosine"]), span, plain(values["ratio"])])
        head = ["part of the student", "cosine", "range", "distillation / task"]
        figure = [] if short else [f"![Cosine in each part]({FIGURES['gradients']})"]
        return ["## Gradients of distillation and task", table(head, rows), *figure]


def _sentence_of_agreement(agreement: dict[str, Number]) -> str:
    if "found_by_student" in agreement and not (agreement["teacher_detections"] and agreement["student_detections"]):
        counts = [plain(agreement[f"{side}_detections"]) for side in SIDES]
        return f"The teacher has {counts[0]} detections with enough score, the student {counts[1]}."
    if "found_by_student" in agreement:
        return (
            f"Of the teacher's {plain(agreement['teacher_detections'])} detections the student has "
            f"{percent(agreement['found_by_student'])}, {percent(agreement['found_in_same_class'])} in the same class; "
            f"of its own {plain(agreement['student_detections'])} the teacher has not "
            f"{percent(agreement['student_alone'])}."
        )
    return (
        f"They predict the same class in {percent(agreement['same_class'])}; in "
        f"{percent(agreement['teacher_alone_right'])} the teacher alone is right, in "
        f"{percent(agreement['student_alone_right'])} the student alone."
    )


def _difference(teacher: float | None, student: float | None) -> float | None:
    return None if teacher is None or student is None else teacher - student


def _pair_cells(pair: Any) -> Sequence[str]:
    return percent(pair.teacher), percent(pair.student), points(pair.gap)


def _cell(key: str, value: Number) -> str:
    return plain(value) if key in PLAIN or isinstance(value, int) else percent(value)
