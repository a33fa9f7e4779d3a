"""The methods: which pairs they suit, and how they are wired."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from mmdist.engine.new import pseudo, settings, suits
from mmdist.engine.new.images import PLAIN, Images
from mmdist.engine.new.label_needs import needs_labels, why_not_without_labels
from mmdist.engine.new.pair import Pair
from mmdist.engine.new.settings import Task
from mmdist.engine.new.sides import CLASSIFIER, DENSE, SEGMENTER, TWO_STAGE
from mmdist.engine.new.wiring import Wiring
from mmdist.errors import ConfigError
from mmdist.models.algorithms.input_size import by


@dataclass(frozen=True)
class Method:
    """A method.

    Args:
        title (str): One line on what it does.
        why_not (Callable): Takes a pair and says why the method does not suit it; empty: it does.
        wire (Callable): Takes a wiring and the task, and puts the method's parts in.
    """

    title: str
    why_not: Callable[[Pair], str]
    wire: Callable[[Wiring, Task], None]


def wire(pair: Pair, name: str, images: Images = PLAIN) -> Wiring:
    """A method, wired for a pair.

    Args:
        pair (Pair): Student and teacher.
        name (str): One of ``METHODS``.
        images (Images): What the student learns from; resolved. Defaults to its own labelled images.

    Returns:
        Wiring: What the config is written from.

    Raises:
        ConfigError: The method does not suit the pair or the images; says why, and which do.
    """
    if name not in METHODS:
        raise ConfigError("--method", name, METHODS)
    why = why_not(pair, name, images)
    if why:
        others = [repr(other) for other in METHODS if not why_not(pair, other, images)]
        suiting = (
            f"a method that suits this pair: {', '.join(others)}" if others else "another pair: no method suits it"
        )
        raise ConfigError("--method", name, suiting, why)
    wiring = Wiring(pair, images)
    if pair.teacher_size:
        sizes = by(pair.teacher_size), by(pair.size)
        wiring.note(
            "the teacher takes images of {}: the student's, of {} in training, are resized for it".format(*sizes)
        )
    METHODS[name].wire(wiring, settings.task_of(pair))
    if any(loss.name.startswith(SCORED) for loss in wiring.losses):
        for side in (pair.student, pair.teacher):
            for note in side.notes:
                wiring.note(note)
    if (
        images.labels
        and images.unlabeled is not None
        and not wiring.pseudo_labels
        and all(map(needs_labels, wiring.losses))
    ):
        wiring.note("every loss of this method needs labels: the unlabelled images teach nothing")
    return wiring


def why_not(pair: Pair, name: str, images: Images = PLAIN) -> str:
    """Why a method does not suit a pair that learns from these images; empty: it does."""
    why = METHODS[name].why_not(pair)
    if not why and name.startswith("pseudo") and images.are_plain:
        why = pseudo.NEEDS_UNLABELED
    if why or images.labels:
        return why
    wiring = Wiring(pair, images)
    METHODS[name].wire(wiring, settings.task_of(pair))
    return why_not_without_labels(wiring)


def _per_anchor(wiring: Wiring, task: Task) -> dict[str, int]:
    return {"num_classes": wiring.pair.student.channels} if task.kind == DENSE else {}


def _activation(wiring: Wiring, task: Task) -> dict[str, str]:
    return {"activation": "sigmoid"} if wiring.pair.student.sigmoid else {}


def _wire_kd(wiring: Wiring, task: Task) -> None:
    values, source = settings.kd(task)
    config = {"type": "mmdist.KDLoss", **_activation(wiring, task), **_per_anchor(wiring, task), **values}
    comment = "KD: the divergence of the student's class probabilities from the teacher's"
    # Labels say which pixels of a segmenter count; the other tasks ignore none.
    wiring.compare_logits("loss_kd", config, comment, labels=task.kind == SEGMENTER)
    wiring.source.append(source)


def _wire_decoupled(kind: str, comment: str) -> Callable[[Wiring, Task], None]:
    def put(wiring: Wiring, task: Task) -> None:
        values, source = settings.decoupled(task)
        config = {"type": f"mmdist.{kind}", **_per_anchor(wiring, task), **values, "loss_weight": 1.0}
        wiring.compare_logits(f"loss_{kind.removesuffix('Loss').lower()}", config, comment, labels=True)
        wiring.source.append(source)

    return put


def _wire_nkd(wiring: Wiring, task: Task) -> None:
    config = {"type": "mmdist.NKDLoss", **_per_anchor(wiring, task), "gamma": 1.5, "tau": 1.0, "loss_weight": 1.0}
    wiring.compare_logits("loss_nkd", config, "NKD: the true class, and the others renormalised", labels=True)
    wiring.source.append("NKD on ImageNet")


def _wire_dist(wiring: Wiring, task: Task) -> None:
    values, source = settings.dist(task)
    config = {"type": "mmdist.DISTLoss", **_activation(wiring, task), **values}
    comment = "DIST: correlation of the class scores with the teacher's, in each position and in each class"
    names = ("logits_S", "logits_T")
    wiring.compare_logits("loss_dist", config, comment, arguments=names)
    wiring.source.append(source)
    if not values["inter_loss_weight"]:
        wiring.note("each score is a question of its own: DIST relates the positions or pictures in it alone (ours)")
    if task.kind != SEGMENTER:
        return
    lacking = [side for side in (wiring.pair.student, wiring.pair.teacher) if not side.auxiliary]
    if lacking:
        whose = " and the ".join(side.name for side in lacking)
        why = next((side.missing["auxiliary"] for side in lacking if "auxiliary" in side.missing), "no auxiliary head")
        wiring.note(f"the {whose}: {why}, so DIST compares the main scores alone")
    else:
        config = {**config, "loss_weight": 0.4 * values["loss_weight"]}
        comment = "the same for the auxiliary heads"
        wiring.compare_logits("loss_dist_auxiliary", config, comment, arguments=names, auxiliary=True)


def _wire_distplus(wiring: Wiring, task: Task) -> None:
    _wire_dist(wiring, task)
    wiring.source[:] = [source.replace("DIST on", "DIST+ on") for source in wiring.source]
    for kind, what in (("Channel", "channels of each position"), ("Spatial", "positions of each picture")):
        config = {"type": f"mmdist.{kind}RelationLoss", "loss_weight": 1.0}
        wiring.compare_features(f"loss_{kind.lower()}", config, f"DIST+: correlation of the {what}")
    student, teacher = wiring.pair.student, wiring.pair.teacher
    why = student.why("labels") or ("" if len(teacher.last) == 2 else teacher.why("last"))
    if task.scores == 1 or (task.kind == CLASSIFIER and student.sigmoid):
        why = "its loss compares the classes that are not the true one"
    if why:
        wiring.note(f"the teacher stays as it is, without DIST+'s acclimation: {why}")
        return
    tau = {"tau": settings.dist(task)[0]["tau"]}
    config = {"type": "mmdist.AcclimationLoss", **_activation(wiring, task), **_per_anchor(wiring, task), **tau}
    comment = "DIST+: trains the teacher's last layers to meet the student, on the classes that are not the true one"
    names = ("preds_S", "preds_T")
    wiring.compare_logits("loss_teacher", {**config, "loss_weight": 1.0}, comment, arguments=names, labels=True)
    constructor = (wiring.pair.cfg.get("optim_wrapper") or {}).get("constructor")
    if constructor:
        wiring.note(f"{constructor} may not know custom_keys: see in the log that `acclimated` has its own rate")
    # Levels with layers of their own: the classifiers of all of them.
    wiring.acclimated = list(dict.fromkeys([*teacher.last, *(spot.source for spot in teacher.logits)]))


def _wire_rdd(inner: Callable[[Wiring, Task], None]) -> Callable[[Wiring, Task], None]:
    def put(wiring: Wiring, task: Task) -> None:
        inner(wiring, task)
        pixels = {"min_kept": settings.min_kept(wiring.pair)} if task.kind == SEGMENTER else {}
        values = {"warmup": 0.1, "mode": "xor", "threshold": 0.7, **pixels}
        losses = suits.weighed(wiring.pair)
        if losses is not None:
            values["losses"] = losses
            wiring.note(f"RDD weighs {', '.join(losses)} alone: the student's other losses take no weight")
        wiring.weighting = {"type": "mmdist.RDDWeighting", **values}
        wiring.source.append("RDD on Cityscapes" if task.kind == SEGMENTER else "RDD's for segmenters (ours here)")
        if task.kind == SEGMENTER and not wiring.pair.teacher.auxiliary:
            wiring.note("the teacher has no auxiliary head: the entropy of its answer takes its place (ours)")

    return put


def _wire_sdd(wiring: Wiring, task: Task) -> None:
    scales = (1, 2) if task.kind == CLASSIFIER and task.alike else (1, 2, 4)
    comment = "SDD: the base loss on the logits of regions, with more weight where a region differs from the whole"
    warmup: dict[str, int] = {}
    if task.kind in (CLASSIFIER, TWO_STAGE):
        values, source = settings.decoupled(task)
        warmup = {name: values.pop(name) for name in ("warmup_epochs",) if name in values}
        base = {"type": "mmdist.DKDLoss", **values}
        wiring.source.append(f"SDD, with its base loss as {source}")
    else:
        base = {"type": "mmdist.KDLoss", **_activation(wiring, task), "tau": 1.0}
        wiring.source.append("SDD on CIFAR-100; on maps, ours")
    split = "agreement" if task.kind == DENSE else "correctness"  # the anchors' labels are none of regions
    config = {"type": "mmdist.SDDLoss", "base": base, "complementary_weight": 2.0, "split": split}
    if task.kind == SEGMENTER:
        config["scales"] = scales  # of the label map
    wiring.compare_regions("loss_sdd", {**config, **warmup, "loss_weight": 1.0}, comment, scales, task.kind != DENSE)


def _wire_cwd(wiring: Wiring, task: Task) -> None:
    config = {"type": "mmrazor.ChannelWiseDivergence", "tau": 1.0, "loss_weight": 5.0}
    wiring.compare_logits("loss_cwd", config, "CWD: where in the picture each class is, as a distribution")
    wiring.source.append("CWD in MMRazor")


def _wire_pkd(wiring: Wiring, task: Task) -> None:
    config = {"type": "mmrazor.PKDLoss", "loss_weight": 6.0, "resize_stu": True}
    comment = "PKD: correlation of each channel of the pyramid with the teacher's"
    wiring.compare_features("loss_pkd", config, comment)
    wiring.source.append("PKD on COCO")


def _wire_mimic(wiring: Wiring, task: Task) -> None:
    weight = 10.0 if task.kind == SEGMENTER else 1.0
    config = {"type": "mmrazor.L2Loss", "normalize": False, "div_element": True, "loss_weight": weight}
    wiring.compare_features("loss_mimic", config, "mean squared difference of the features", ("s_feature", "t_feature"))
    wiring.source.append(
        {CLASSIFIER: "ours", SEGMENTER: "FitNet in RDD's comparison"}.get(task.kind, "DIST's mimic on COCO")
    )


SCORED = ("loss_kd", "loss_dkd", "loss_nkd", "loss_dckd", "loss_dist", "loss_sdd")
DKD_COMMENT = "DKD: the true class and the others, compared separately"
DCKD_COMMENT = "DCKD: the same, held against whichever network is surer, where the student is wrong"
METHODS = {
    "kd": Method("KD: class probabilities", suits.logits, _wire_kd),
    "dkd": Method("DKD: the true class and the others apart", suits.labelled, _wire_decoupled("DKDLoss", DKD_COMMENT)),
    "nkd": Method("NKD: the same, normalised", suits.labelled, _wire_nkd),
    "dist": Method("DIST: relations of the class scores", suits.logits, _wire_dist),
    "distplus": Method("DIST+: DIST, relations of features, and an adaptive teacher", suits.both, _wire_distplus),
    "rdd": Method("RDD: the teacher weighs the task loss, beside KD", suits.rdd, _wire_rdd(_wire_kd)),
    "rdd-dist": Method("RDD beside DIST", suits.rdd, _wire_rdd(_wire_dist)),
    "sdd": Method("SDD: logits of regions", suits.sdd, _wire_sdd),
    "dckd": Method("DCKD: DKD where it helps", suits.labelled, _wire_decoupled("DCKDLoss", DCKD_COMMENT)),
    "cwd": Method("CWD: channels as distributions (segmenters)", suits.cwd, _wire_cwd),
    "pkd": Method("PKD: correlated pyramids (detectors)", suits.pkd, _wire_pkd),
    "mimic": Method("mimic: features, as they are", suits.features, _wire_mimic),
    "pseudo": Method("Pseudo-labels: the teacher labels images", pseudo.suits(), pseudo.wire()),
    "pseudo-kd": Method("Pseudo-labels beside KD", pseudo.suits(suits.logits), pseudo.wire(_wire_kd)),
    "pseudo-dist": Method("Pseudo-labels beside DIST", pseudo.suits(suits.logits), pseudo.wire(_wire_dist)),
}
