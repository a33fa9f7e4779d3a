"""What becomes of a student and a teacher: the methods that a config is written for, and why not the others."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from families import facts
from families.catalogue import PARTNERS, Family
from families.reasons import METHODS as REASONS
from families.reasons import UNKNOWN, reason_of, reason_of_all
from families.values import deviations
from helpers.shrunk_configs import write_shrunk
from mmengine.config import Config

from mmdist.engine.new import suits
from mmdist.engine.new.check import try_out
from mmdist.engine.new.dry import dry_run
from mmdist.engine.new.load import load_pair
from mmdist.engine.new.methods import METHODS, wire
from mmdist.engine.new.write import config_text
from mmdist.errors import MMDistError

ARRANGEMENTS = {"itself": "under itself", "student": "as a student", "teacher": "as a teacher"}


@dataclass
class Outcome:
    """What was found.

    Args:
        works (list[str]): Methods that a config was written for, and trained one iteration.
        refused (dict[str, str]): The others, and the keys of their reasons.
        whole (str): The key of the reason why the pair as a whole is refused; empty: it is not.
        said (str): What mmdist said of the pair as a whole.
        denied (dict[str, str]): Methods that work although a reason holds: none.
        values (dict[str, float]): The largest deviation of recorded from decided class scores, by side.
        seconds (float): How long it took.
    """

    works: list[str] = field(default_factory=list)
    refused: dict[str, str] = field(default_factory=dict)
    whole: str = ""
    said: str = ""
    denied: dict[str, str] = field(default_factory=dict)
    values: dict[str, float] = field(default_factory=dict)
    seconds: float = 0.0

    def to_dict(self) -> dict[str, Any]:
        """As plain values."""
        return asdict(self)


def try_family(family: Family, arrangement: str, folder: Path) -> Outcome:
    """Try a family out under itself, as a student under the fixed partner, or as a teacher of it.

    Args:
        family (Family): With a config.
        arrangement (str): One of ``ARRANGEMENTS``.
        folder (Path): Where configs are written.
    """
    start = time.monotonic()
    if not facts.readable(family.config):
        return Outcome(said="the config cannot be read", whole=reason_of_all({"family": {"readable": False}}))
    own = write_shrunk(folder, family.config, "family", None, smallest_form=True)
    student, teacher = own, own
    if arrangement != "itself":
        partner = write_partner(family, own, folder)
        student, teacher = (own, partner) if arrangement == "student" else (partner, own)
    outcome = try_pair(student, teacher, family.size)
    if outcome.said:
        outcome.whole = reason_of_all({"family": facts.of_config(str(own), family.size)})
    outcome.seconds = time.monotonic() - start
    return outcome


def write_partner(family: Family, own: Path, folder: Path) -> Path:
    """The fixed partner, with as many classes; and images of the family's size, where that takes no other."""
    model = Config.fromfile(own).model
    partner = PARTNERS["two-stage" if family.library == "mmdet" and "roi_head" in model else family.library]
    fixed = "decode_head" in model and "img_size" in model.get("backbone", {})
    changes = {"data_preprocessor": model.data_preprocessor.to_dict()} if fixed else {}
    return write_shrunk(folder, partner, "partner", classes_of(model), smallest_form=True, **changes)


def classes_of(model: dict[str, Any]) -> int | None:
    """How many classes the first head of a model's config tells apart."""
    heads = (model.get(name) for name in ("head", "decode_head", "bbox_head", "roi_head", "mask_head"))
    return next((found for head in heads if (found := _first(head, "num_classes")) is not None), None)


def try_pair(student: Path, teacher: Path, size: tuple[int, int]) -> Outcome:
    """Write a config for each method that suits the pair, train it, and compare what it records.

    Args:
        student (Path): Its plain config.
        teacher (Path): Likewise.
        size (tuple[int, int]): Height and width of the images.

    Raises:
        MMDistError: A config was written that does not train.
    """
    outcome = Outcome()
    with dry_run():
        try:
            pair = load_pair(str(student), str(teacher), size)
        except MMDistError as error:
            outcome.said = str(error)
            return outcome
        refused = {name: METHODS[name].why_not(pair) for name in REASONS}
        found = {**facts.of_pair(pair), "trials": {name: getattr(suits, name)(pair) for name in ("rdd", "sdd")}}
        for name, why in refused.items():
            if why:
                outcome.refused[name] = reason_of(name, found)
                continue
            path = student.with_name(f"{name}.py")
            path.write_text(config_text(wire(pair, name), name, path, str(student), str(teacher), None, None))
            try_out(path, pair.tried)
            outcome.works.append(name)
            reason = reason_of(name, found)
            if reason != UNKNOWN:
                outcome.denied[name] = reason
            if name == "kd":  # whose scores every other method compares too
                outcome.values = deviations(path, pair)
    return outcome


def _first(node: Any, key: str) -> Any:
    if isinstance(node, dict):
        if key in node:
            return node[key]
        node = list(node.values())
    if isinstance(node, list | tuple):
        return next((found for part in node if (found := _first(part, key)) is not None), None)
    return None
