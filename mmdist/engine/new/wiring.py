"""The parts of a distiller, as a method puts them together: recorders, connectors, losses and their mappings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from mmdist.engine.new.images import PLAIN, Images
from mmdist.engine.new.pair import Pair
from mmdist.engine.new.segmenters import align_corners_of
from mmdist.engine.new.sides import Side, Spot

PREDS = ("preds_S", "preds_T")
SDD_INPUTS = Spot("roi_head._bbox_forward", (), "mmdist.Method", "inputs")


@dataclass
class Loss:
    """One loss of a config, compared once or level by level.

    Args:
        name (str): Its variable in the config.
        config (dict): With ``type``.
        comment (str): What it does.
        mappings (list[dict]): One, or one a level.
    """

    name: str
    config: dict[str, Any]
    comment: str
    mappings: list[dict[str, dict]]

    def names(self) -> list[str]:
        """Their names in the distiller."""
        several = len(self.mappings) > 1
        return [f"{self.name}_{level}" if several else self.name for level in range(len(self.mappings))]


@dataclass
class Wiring:
    """A distiller for a pair, growing.

    Args:
        pair (Pair): Student and teacher.
        images (Images): What the student learns from.
        recorders (dict): By side, then by name.
        connectors (dict[str, dict]): By name.
        losses (list[Loss]): In the order of the config.
        weighting (dict, optional): Of the student's task loss.
        pseudo_labels (dict, optional): How the teacher labels images without labels.
        acclimated (list[str]): The teacher's modules that train.
        notes (list[str]): What the user should know.
        source (list[str]): Where the settings come from.
    """

    pair: Pair
    images: Images = PLAIN
    recorders: dict[str, dict[str, dict]] = field(default_factory=lambda: {"student": {}, "teacher": {}})
    connectors: dict[str, dict] = field(default_factory=dict)
    losses: list[Loss] = field(default_factory=list)
    weighting: dict[str, Any] | None = None
    pseudo_labels: dict[str, Any] | None = None
    acclimated: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    source: list[str] = field(default_factory=list)

    def record(self, side: Side, name: str, spot: Spot, connector: str = "") -> dict[str, Any]:
        """One entry of a loss mapping, and the recorder that it names.

        Args:
            side (Side): Where it is recorded.
            name (str): Of the recorder; others of this name get a number.
            spot (Spot): What is recorded.
            connector (str): What it passes before the loss.
        """
        free = add(self.recorders[side.name], name, spot.config())
        through = {"connector": connector} if connector else {}
        return {"recorder": free, "from_student": side.name == "student", **spot.index(), **through}

    def compare_logits(
        self,
        name: str,
        config: dict,
        comment: str,
        *,
        arguments: Sequence[str] = PREDS,
        labels: bool = False,
        auxiliary: bool = False,
    ) -> None:
        """A loss on the class scores, level by level.

        Args:
            name (str): Of the loss.
            config (dict): Of the loss.
            comment (str): What it does.
            arguments (Sequence[str]): How the loss calls the student's and the teacher's.
            labels (bool): Whether it is given the labels, where they are known.
            auxiliary (bool): The scores of a segmenter's auxiliary head instead.
        """
        student, teacher = self.pair.student, self.pair.teacher
        part = "auxiliary" if auxiliary else "logits"
        found = list(zip(getattr(student, part), getattr(teacher, part), strict=True))
        mappings = [self.pairing(part, pair, arguments, self._same_size(*pair)) for pair in found]
        for mapping, label in zip(mappings, student.labels if labels else [], strict=False):
            mapping["gt_labels"] = self.record(student, "labels", label)
        self.losses.append(Loss(name, config, comment, mappings))

    def note(self, text: str) -> None:
        """Tell the user something, once."""
        if text not in self.notes:
            self.notes.append(text)

    def pairing(
        self, name: str, spots: tuple[Spot, Spot], arguments: Sequence[str], through: tuple[str, str] = ("", "")
    ) -> dict[str, dict]:
        """The two sides of a mapping."""
        sides = self.pair.student, self.pair.teacher
        parts = zip(arguments, sides, spots, through, strict=True)
        return {argument: self.record(side, name, spot, connector) for argument, side, spot, connector in parts}

    def compare_features(self, name: str, config: dict, comment: str, arguments: Sequence[str] = PREDS) -> None:
        """A loss on the features, level by level, the student's aligned to the teacher's."""
        found = self.pair.features()
        mappings = []
        for level, spots in enumerate(found):
            align = f"align_{level}" if len(found) > 1 else "align"
            channels = zip(("in_channels", "out_channels"), (spot.shape[1] for spot in spots), strict=True)
            self.connectors[align] = {"type": "mmdist.AlignConnector", **dict(channels)}
            mappings.append(self.pairing("features", spots, arguments, (align, "")))
        self.losses.append(Loss(name, config, comment, mappings))

    def compare_regions(self, name: str, config: dict, comment: str, scales: tuple[int, ...], labels: bool) -> None:
        """A loss on the logits of regions, which each model's own classifier gives (SDD)."""
        student, teacher = self.pair.student, self.pair.teacher
        spots = {side.name: self._region_spots(side) for side in (student, teacher)}
        self.connectors["regions"] = {"type": "mmdist.SDDHead", "scales": scales}
        through = ("regions", "regions")
        pairs = list(zip(spots["student"], spots["teacher"], strict=True))
        mappings = [self.pairing("regions", pair, PREDS, through) for pair in pairs]
        for mapping, label in zip(mappings, student.labels if labels else [], strict=False):
            mapping["gt_labels"] = self.record(student, "labels", label)
        self.losses.append(Loss(name, config, comment, mappings))

    def _region_spots(self, side: Side) -> list[Spot]:
        if hasattr(side.model, "roi_head"):
            return [SDD_INPUTS]
        return side.features if hasattr(side.model, "head") else side.logits

    def _same_size(self, student: Spot, teacher: Spot) -> tuple[str, str]:
        """The smaller of two maps is enlarged, so that every position of both counts."""
        both = (student, self.pair.student), (teacher, self.pair.teacher)
        seen = [[spot.shape[2:] for spot, _ in both], [side.again.get(spot, ())[2:] for spot, side in both]]
        sizes = next((sizes for sizes in seen if all(sizes) and sizes[0] != sizes[1]), None)
        if sizes is None:
            return "", ""
        small, large = sorted(sizes)
        side, spot = (self.pair.student, student) if sizes[0] == small else (self.pair.teacher, teacher)
        align = {"align_corners": True} if align_corners_of(side.model, spot.source) else {}
        resize = add(self.connectors, "resize", {"type": "mmdist.ResizeConnector", **align})
        change = " to ".join("x".join(map(str, size)) for size in (small, large))
        self.note(f"the {side.name}'s class scores are enlarged to the size of the other's ({change} in the check)")
        return (resize, "") if side is self.pair.student else ("", resize)


def add(known: dict[str, dict], name: str, config: dict) -> str:
    """Put a config under a name, with a number where another config has it.

    Example:
        >>> known = {'logits': dict(source='a')}
        >>> add(known, 'logits', dict(source='b')), add(known, 'logits', dict(source='a'))
        ('logits_1', 'logits')
    """
    free, number = name, 0
    while free in known and known[free] != config:
        number += 1
        free = f"{name}_{number}"
    known[free] = config
    return free
