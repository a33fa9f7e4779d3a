"""What `mmdist new` knows of a model: where its scores, labels and features are recorded."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from mmengine.model import BaseModel

from mmdist.engine.modules.trace import Shape

CLASSIFIER, SEGMENTER, OTHER = "classifier", "segmenter", "model"
DENSE, TWO_STAGE = "one-stage detector", "two-stage detector"
TASKS = {"mmpretrain": "classification", "mmseg": "segmentation", "mmdet": "detection"}


@dataclass(frozen=True)
class Spot:
    """A tensor that a recorder can record.

    Args:
        source (str): As the recorder takes it.
        shape (Shape): Of the tensor, in the dry run.
        recorder (str): Type of the recorder.
        what (str): ``outputs`` or ``inputs``.
        record_idx (int): Which call.
        data_idx (int, optional): Which part of it.
    """

    source: str
    shape: Shape
    recorder: str = "mmdist.Module"
    what: str = "outputs"
    record_idx: int = 0
    data_idx: int | None = None

    def config(self) -> dict[str, Any]:
        """The recorder.

        Example:
            >>> Spot('head.fc', (2, 10)).config()
            {'type': 'mmdist.Module', 'source': 'head.fc'}
        """
        what = {} if self.what == "outputs" else {"what": self.what}
        return {"type": self.recorder, "source": self.source, **what}

    def index(self) -> dict[str, int]:
        """What a loss mapping says beside the recorder's name."""
        index = {"record_idx": self.record_idx} if self.record_idx else {}
        return index if self.data_idx is None else {**index, "data_idx": self.data_idx}


@dataclass
class Side:
    """A student or a teacher.

    Args:
        name (str): ``student`` or ``teacher``.
        model (BaseModel): Built, without weights.
        task (str): One of ``TASKS``.
        kind (str): Such as ``one-stage detector``.
        input_shape (Shape): (N, C, H, W) of the dry run.
        classes (int): How many the scores tell apart, background not counted.
        logits (list[Spot]): The class scores, level by level.
        labels (list[Spot]): What the loss compares them with, level by level; the student's alone.
        features (list[Spot]): Maps, (N, D, H, W), level by level.
        auxiliary (list[Spot]): The scores of a segmenter's auxiliary head.
        last (list[str]): The last layer before the classifier, and the classifier.
        sigmoid (bool): Whether each class is a question of its own.
        anchors (int): Scores of how many anchors stand in one position.
        channels (int): Scores of one anchor: the classes, and the background where it is one.
        notes (list[str]): What the user should know, whatever the method is.
        again (dict[Spot, Shape]): The shapes of a segmenter's scores for images of a second size, where that was tried.
        missing (dict[str, str]): Why ``logits``, ``labels`` or ``features`` is empty.
    """

    name: str
    model: BaseModel
    task: str
    input_shape: Shape
    kind: str = OTHER
    classes: int = 0
    logits: list[Spot] = field(default_factory=list)
    labels: list[Spot] = field(default_factory=list)
    features: list[Spot] = field(default_factory=list)
    auxiliary: list[Spot] = field(default_factory=list)
    last: list[str] = field(default_factory=list)
    sigmoid: bool = False
    anchors: int = 1
    channels: int = 0
    notes: list[str] = field(default_factory=list)
    again: dict[Spot, Shape] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)

    def why(self, part: str) -> str:
        """Why a part is missing; empty: it is there."""
        if getattr(self, part):
            return ""
        return f"the {self.name} ({type(self.model).__name__}): {self.missing.get(part, f'no {part} were found')}"
