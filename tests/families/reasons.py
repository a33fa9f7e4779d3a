"""The closed list of reasons why a family, a pair or a method is refused; each is a predicate over facts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from families.facts import Facts

from mmdist.engine.new.sides import DENSE

TASKS = {"BaseDetector", "BaseSegmentor", "ImageClassifier"}
OTHER_TASKS = {"BaseMOTModel", "DepthEstimator"}
SEVERAL = {"SemiBaseDetector", "KnowledgeDistillationSingleStageDetector", "LAD"}


@dataclass(frozen=True)
class Reason:
    """Why something is refused.

    Args:
        key (str): Its name in results and tests.
        text (str): For readers.
        holds (Callable): Takes the facts.
    """

    key: str
    text: str
    holds: Callable[[Facts], bool]


def _family(name: str) -> Callable[[Facts], bool]:
    return lambda facts: bool(facts["family"][name])


# Why a family cannot be built, or run, at all.
WHOLE = [
    Reason("unreadable", "MMEngine does not read its config.", lambda facts: not facts["family"]["readable"]),
    Reason(
        "task",
        "Not a detector, segmenter or classifier.",
        lambda facts: not TASKS & set(facts["family"]["bases"]) or bool(OTHER_TASKS & set(facts["family"]["bases"])),
    ),
    Reason(
        "several networks",
        "An arrangement of several networks that trains in its own way.",
        lambda facts: bool(SEVERAL & set(facts["family"]["bases"])),
    ),
    Reason("package", "Needs a package that is not installed here.", _family("packages")),
    Reason("download", "Reads text, with a language model that has to be downloaded.", _family("text")),
    Reason("operator", "Has an operator of MMCV that runs on GPUs alone.", _family("operators")),
    Reason("headless", "A backbone without a head.", _family("headless")),
    Reason(
        "proposals",
        "Its own training takes regions from files, which another model has proposed.",
        lambda facts: "FastRCNN" in facts["family"]["bases"],
    ),
    Reason(
        "colour",
        "Its pictures have another number of channels than those of the fixed model.",
        lambda facts: not facts["family"]["colour"],
    ),
    Reason("one image", "Its inference takes one image at a time, not a batch.", _family("one_image")),
    Reason("own training", "Its own training fails on the random images.", lambda facts: not facts["family"]["trains"]),
]


def _either(test: Callable[[Facts], bool]) -> Callable[[Facts], bool]:
    return lambda facts: any(test(facts[side]) for side in ("student", "teacher"))


def _differ(name: str) -> Callable[[Facts], bool]:
    return lambda facts: facts["student"][name] != facts["teacher"][name]


def _dense(test: Callable[[Facts], bool]) -> Callable[[Facts], bool]:
    """Of one-stage detectors alone, whose scores belong to anchors or points of levels."""
    return lambda facts: all(facts[side]["kind"] == DENSE for side in ("student", "teacher")) and test(facts)


def _unrelated(facts: Facts) -> bool:
    """Neither head inherits from the other, and they do not ask the same question of the same anchors."""
    student, teacher = facts["student"], facts["teacher"]
    if student["head"][0] in teacher["head"] or teacher["head"][0] in student["head"]:
        return False
    asked = all(side["loss"] and not side["objectness"] for side in (student, teacher))
    return not asked or student["priors"] != teacher["priors"]


def _sizes(facts: Facts) -> bool:
    return [shape[2:] for shape in facts["student"]["scores"]] != [shape[2:] for shape in facts["teacher"]["scores"]]


# Why class scores are not compared, in the order in which they are asked.
SCORES = [
    Reason("queries", "Scores of queries have no counterpart in another model.", _either(lambda s: s["queries"])),
    Reason(
        "masks",
        "A head of masks alone, whose scores no box or anchor has.",
        _either(lambda s: not s["boxes"] and s["task"] == "detection"),
    ),
    Reason(
        "several anchors",
        "Softmax scores of several anchors stand in one position.",
        _either(lambda s: not s["sigmoid"] and s["per_position"] > 1),
    ),
    Reason("no map", "No layer returns a map of its class scores.", _either(lambda s: not s["scores"])),
    Reason("kinds", "One is a one-stage detector, the other has two stages.", _differ("kind")),
    Reason(
        "classes",
        "They tell different numbers of classes apart.",
        lambda f: _differ("classes")(f) or _differ("channels")(f),
    ),
    Reason("question", "Classes compete in one (softmax), and not in the other (sigmoid).", _differ("sigmoid")),
    Reason("heads", "The scores of the two heads mean different things.", _dense(_unrelated)),
    Reason(
        "anchors",
        "Their anchors differ.",
        _dense(lambda f: any(_differ(n)(f) for n in ("per_position", "base_anchors"))),
    ),
    Reason("levels", "Their levels have different sizes.", _dense(_sizes)),
]


def _no_maps(facts: Facts) -> bool:
    """Neither side lacks maps, and the pyramids of detectors have a size in common."""
    sides = [[tuple(shape[2:]) for shape in facts[side]["maps"]] for side in ("student", "teacher")]
    if not all(sides):
        return True
    return facts["student"]["task"] == "detection" and not set(sides[0]) & set(sides[1])


def _not_competing(facts: Facts) -> bool:
    student = facts["student"]
    return student["channels"] == 1 or (student["sigmoid"] and student["kind"] != "one-stage detector")


def _regions_not_competing(facts: Facts) -> bool:
    """Regions of a segmenter's sigmoid scores are compared class by class; a detector's anyway."""
    student = facts["student"]
    return student["channels"] == 1 or (student["sigmoid"] and student["task"] == "classification")


def _not_dense(reasons: list[Reason]) -> list[Reason]:
    """Of one-stage detectors SDD compares what the teacher answers, not the labels."""

    def asked(holds: Callable[[Facts], bool]) -> Callable[[Facts], bool]:
        return lambda facts: facts["student"]["kind"] != DENSE and holds(facts)

    return [replace(reason, holds=asked(reason.holds)) for reason in reasons]


def _trial(name: str) -> Callable[[Facts], bool]:
    return lambda facts: bool(facts["trials"][name])


CONTEXT = [
    Reason("context", "Its box head looks at more than the features of a region.", _either(lambda s: s["context"]))
]
MAPS = [Reason("maps", "They have no feature maps of one size in common.", _no_maps)]
COMPETING = [Reason("competing", "Each class is a question of its own; several can be true.", _not_competing)]
LABELS = [Reason("labels", "Its loss takes no label for each position.", lambda facts: not facts["student"]["labels"])]
WEIGHTS = [Reason("weights", "Its task loss takes no weight a row, or is called with other rows.", _trial("rdd"))]
REGIONS = [Reason("regions", "Its classifier does not answer for parts of a map.", _trial("sdd"))]
REGIONS_COMPETING = [replace(COMPETING[0], holds=_regions_not_competing)]
DETECTORS = [Reason("other task", "The method is for detectors.", lambda f: f["student"]["task"] != "detection")]
SEGMENTERS = [Reason("other task", "The method is for segmenters.", lambda f: f["student"]["task"] != "segmentation")]
METHODS = {
    "kd": SCORES,
    "dkd": [*SCORES, *COMPETING, *LABELS],
    "nkd": [*SCORES, *COMPETING, *LABELS],
    "dist": SCORES,
    "distplus": [*SCORES, *MAPS],
    "rdd": [*SCORES, *CONTEXT, *WEIGHTS],
    "rdd-dist": [*SCORES, *CONTEXT, *WEIGHTS],
    "sdd": [*SCORES, *CONTEXT, *_not_dense([*REGIONS, *REGIONS_COMPETING, *LABELS])],
    "dckd": [*SCORES, *COMPETING, *LABELS],
    "cwd": [*SEGMENTERS, *SCORES],
    "pkd": [*DETECTORS, *MAPS],
    "mimic": MAPS,
}
UNKNOWN = "unknown"


def reason_of(method: str, facts: Facts) -> str:
    """The first reason of a method that holds; ``unknown``: none of the list."""
    return next((reason.key for reason in METHODS[method] if reason.holds(facts)), UNKNOWN)


def reason_of_all(facts: Facts) -> str:
    """The first reason that a family cannot be tried at all."""
    return next((reason.key for reason in WHOLE if reason.holds(facts)), UNKNOWN)
