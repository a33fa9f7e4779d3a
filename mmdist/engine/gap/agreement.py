"""Two models that classify the same samples (pictures or pixels): how alike they are, and who is right."""

from __future__ import annotations

import torch
from torch import Tensor

from mmdist.engine.gap.calibration import PixelSample, calibration
from mmdist.engine.gap.findings import SIDES, Calibration, Number, Pair, number
from mmdist.errors import MMDistError
from mmdist.functional import kd_loss

TOP = 5
# Whether the teacher is right, and the student.
RIGHT = {"both_right": (1, 1), "teacher_alone_right": (1, 0), "student_alone_right": (0, 1), "both_wrong": (0, 0)}
SMALLEST = 1e-12  # a probability that underflowed is not impossible


class Comparison:
    """Predictions of both models, counted batch by batch; nothing but the counts is kept.

    Args:
        classes (int): C, how many classes there are.
        sample (PixelSample): Chooses what the calibration is computed from.

    Example:
        >>> both = Comparison(2, PixelSample(10))
        >>> p = torch.tensor([[0.9, 0.1], [0.2, 0.8]])
        >>> both.update(torch.tensor([0, 0]), p, p)
        >>> both.agreement()['same_class'], both.accuracy()
        (1.0, Pair(teacher=0.5, student=0.5))
    """

    def __init__(self, classes: int, sample: PixelSample) -> None:
        self.classes = classes
        self.sample = sample
        self.confusion = {side: torch.zeros(classes, classes, dtype=torch.long) for side in SIDES}
        self.right = torch.zeros(2, 2, dtype=torch.long)  # teacher right, student right
        self.count = self.same = 0
        self.overlap = self.divergence = 0.0
        self.confidence: dict[str, list[Tensor]] = {side: [] for side in SIDES}
        self.correct: dict[str, list[Tensor]] = {side: [] for side in SIDES}

    def update(
        self,
        labels: Tensor,
        teacher: Tensor,
        student: Tensor,
        predicted: tuple[Tensor, Tensor] | None = None,
    ) -> None:
        """Count one batch.

        Args:
            labels (Tensor): (M,) integers from 0 to C - 1.
            teacher (Tensor): (M, C) the teacher's probabilities.
            student (Tensor): (M, C) the student's.
            predicted (tuple[Tensor, Tensor], optional): (M,) predicted classes of teacher and student, where they are
                not those of the highest probability.

        Raises:
            MMDistError: The models do not tell the same classes apart.
        """
        from torchmetrics.functional.classification import multiclass_confusion_matrix

        check_classes(teacher.shape[1], student.shape[1], self.classes)
        if not labels.numel():
            return
        chosen = predicted or (teacher.argmax(1), student.argmax(1))
        pick = self.sample.choose(len(labels)).to(labels.device)
        for side, scores, classes in zip(SIDES, (teacher, student), chosen, strict=True):
            self.confusion[side] += multiclass_confusion_matrix(classes, labels, self.classes).cpu()
            self.confidence[side].append(scores[pick].gather(1, classes[pick, None])[:, 0].float().cpu())
            self.correct[side].append((classes[pick] == labels[pick]).cpu())
        right = [classes == labels for classes in chosen]
        for t in (0, 1):
            for s in (0, 1):
                self.right[t, s] += int(((right[0] == bool(t)) & (right[1] == bool(s))).sum())
        self.count += len(labels)
        self.same += int((chosen[0] == chosen[1]).sum())
        logits = [scores.double().clamp(min=SMALLEST).log() for scores in (student, teacher)]
        self.divergence += float(kd_loss(*logits, reduction="none").sum())
        if self.classes > TOP:
            self.overlap += float(top_overlap(teacher, student).sum())

    def accuracy(self) -> Pair:
        """Share of samples that each model gets right."""
        return Pair(*(number(self.confusion[side].diag().sum() / max(self.count, 1)) for side in SIDES))

    def agreement(self) -> dict[str, Number]:
        """How alike the predictions are; shares of all samples, the divergence in nats.

        KL = sum_c p_c * log(p_c / q_c), p of the teacher, q of the student, mean over all samples.
        """
        total = max(self.count, 1)
        found: dict[str, Number] = {"same_class": self.same / total}
        if self.classes > TOP:
            found["top5_overlap"] = self.overlap / total
        found["kl"] = self.divergence / total
        for name, (t, s) in RIGHT.items():
            found[name] = int(self.right[t, s]) / total
        return found

    def calibrations(self) -> dict[str, Calibration]:
        """The calibration of both models, on the chosen samples."""
        empty = [torch.zeros(0)]
        return {
            side: calibration(torch.cat(self.confidence[side] or empty), torch.cat(self.correct[side] or empty).bool())
            for side in SIDES
        }


def check_classes(teacher: int, student: int, data: int) -> None:
    """All speak of the same classes.

    Raises:
        MMDistError: They do not.
    """
    if not teacher == student == data:
        raise MMDistError(
            f"the teacher tells {teacher} classes apart, the student {student}, and the data has {data}: predictions "
            "of other classes cannot be compared"
        )


def top_overlap(teacher: Tensor, student: Tensor, top: int = TOP) -> Tensor:
    """Share of the teacher's most probable classes that are among the student's, for each sample.

    Args:
        teacher (Tensor): (M, C) probabilities.
        student (Tensor): (M, C) likewise.
        top (int): How many classes.

    Returns:
        Tensor: (M,) from 0 to 1.

    Example:
        >>> top_overlap(torch.tensor([[3.0, 2.0, 1.0]]), torch.tensor([[1.0, 3.0, 2.0]]), 2)
        tensor([0.5000])
    """
    a, b = (scores.topk(top, dim=1).indices for scores in (teacher, student))
    return (a[:, :, None] == b[:, None, :]).any(2).float().mean(1)
