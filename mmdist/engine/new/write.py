"""The text of a config from a wiring."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mmdist.engine.new.dataloader import dataloader_text
from mmdist.engine.new.methods import METHODS
from mmdist.engine.new.paths import local, relative
from mmdist.engine.new.settings import explained
from mmdist.engine.new.text import Code, Noted, assign, remark
from mmdist.engine.new.wiring import Loss, Wiring

RECORDED = {
    "logits": "class scores",
    "auxiliary": "class scores of the auxiliary head",
    "labels": "what the student's own loss compares its scores with",
    "features": "maps before the classifier",
    "regions": "what regions are classified from",
}
CONNECTED = {
    "align": "a 1x1 convolution to the teacher's channels, then a resize; gone with the distiller",
    "regions": "the model's own classifier, on each region",
    "resize": "the coarser map is enlarged to the finer one, in every batch",
}
ADAPTIVE_RATE, PLAIN_RATE = 1e-3, 0.1


def config_text(
    wiring: Wiring,
    method: str,
    out: Path,
    student: str,
    teacher: str,
    teacher_ckpt: str | None,
    student_ckpt: str | None,
) -> str:
    """The whole file.

    Args:
        wiring (Wiring): The method, wired for the pair.
        method (str): Its name.
        out (Path): Where the file will be: local paths are written relative to it.
        student (str): Config of the student, as the user gave it.
        teacher (str): Config of the teacher.
        teacher_ckpt (str, optional): Weights of the teacher.
        student_ckpt (str, optional): Weights that the student starts from.

    Returns:
        str: Python text.
    """
    cfg = wiring.pair.cfg
    start = student_ckpt or cfg.get("load_from")
    blocks = [_head(wiring, method, student, teacher)]
    blocks.append(assign("_base_", [relative(student, out)], "the student's own training: data, schedule, hooks"))
    given = (cfg.get("custom_imports") or {}).get("imports") or []
    imports = [*([given] if isinstance(given, str) else given), "mmdist"]
    blocks[-1] += "\n" + assign(
        "custom_imports", {"imports": list(dict.fromkeys(imports)), "allow_failed_imports": False}
    )
    blocks[-1] += "\n" + assign("student", Code("_base_.model"))
    if wiring.losses:
        sides = ("student", "teacher")
        blocks += [assign(f"{side}_recorders", _noted(wiring.recorders[side], RECORDED)) for side in sides]
        blocks += [assign(loss.name, explained(loss.config), loss.comment) for loss in wiring.losses]
        blocks.append(assign("distiller", _distiller(wiring)))
    blocks.append(assign("model", _model(wiring, out, teacher, teacher_ckpt, start)))
    if not wiring.images.are_plain:
        blocks.append(dataloader_text(wiring.images, cfg, out, wiring.pair.student.model))
    if not wiring.images.labels:
        why = "Without labels no loss reaches the parts of the student that are not compared: with several processes "
        why += "each has to be told."
        blocks.append(assign("find_unused_parameters", True, why))
    if cfg.get("load_from"):
        blocks.append(assign("load_from", None, "of the student's config: it is model.student_ckpt here"))
    if wiring.acclimated:
        blocks.append(_rates(wiring))
    return "\n\n".join(blocks) + "\n"


def _head(wiring: Wiring, method: str, student: str, teacher: str) -> str:
    names = [Path(path.rpartition("::")[2]).stem for path in (student, teacher)]
    lines = [
        f"{METHODS[method].title}. Written by `mmdist new` for {names[0]} under {names[1]}.",
        f"Settings: {'; '.join(dict.fromkeys(wiring.source))}.",
        *(f"Note: {note}." for note in wiring.notes),
    ]
    weighed = "the student's own losses" + (", weighed by the teacher" if wiring.weighting else "")
    weighed = weighed if wiring.images.labels else "none of the student's own losses, which need labels"
    terms = [f"    + loss_weight x {loss.name}{_levels(loss)}" for loss in wiring.losses]
    if wiring.pseudo_labels:
        terms.append("    + loss_weight x the student's own losses on pseudo-labels")
    text = [line for sentence in lines for line in remark(sentence)]
    return "\n".join([*text, "#", f"# loss = {weighed}", *(f"# {term}" for term in terms)])


def _levels(loss: Loss) -> str:
    return f", summed over {len(loss.mappings)} levels" if len(loss.mappings) > 1 else ""


def _noted(configs: dict[str, dict], comments: dict[str, str]) -> dict[str, Any]:
    """Configs by name, the first of each kind with its comment."""
    told: set[str] = set()
    noted: dict[str, Any] = {}
    for name, config in configs.items():
        kind = name.partition("_")[0]
        noted[name] = config if kind in told else Noted(config, comments[kind])
        told.add(kind)
    return noted


def _distiller(wiring: Wiring) -> dict[str, Any]:
    parts: dict[str, Any] = {"type": "mmrazor.ConfigurableDistiller"}
    parts |= {f"{side}_recorders": Code(f"{side}_recorders") for side in ("student", "teacher")}
    if wiring.connectors:
        parts["connectors"] = _noted(wiring.connectors, CONNECTED)
    parts["distill_losses"] = {name: Code(loss.name) for loss in wiring.losses for name in loss.names()}
    mappings = {
        name: mapping for loss in wiring.losses for name, mapping in zip(loss.names(), loss.mappings, strict=True)
    }
    parts["loss_forward_mappings"] = Noted(mappings, "arguments of each loss: where they are recorded")
    return parts


def _model(wiring: Wiring, out: Path, teacher: str, teacher_ckpt: str | None, start: str | None) -> dict[str, Any]:
    model: dict[str, Any] = {
        "_delete_": True,
        "type": "mmdist.SingleTeacherDistill",
        "architecture": Code("student"),
        "teacher": local(teacher, out),
        "teacher_ckpt": Noted(
            None, "weights of the teacher: a file or URL, here or with `mmdist train --teacher-ckpt`"
        ),
    }
    if teacher_ckpt:
        model["teacher_ckpt"] = local(teacher_ckpt, out)
    if wiring.pair.teacher_size:
        model["teacher_input_size"] = Noted(wiring.pair.teacher_size, "the student's batch is resized to it")
    if start:
        model["student_ckpt"] = Noted(local(start, out), "what the student starts from")
    if not wiring.images.labels:
        model["calculate_student_loss"] = Noted(False, "the student's own losses, which need labels, are left out")
    if wiring.acclimated:
        model["acclimated"] = Noted(wiring.acclimated, "layers of the teacher that train, at the rate below")
    if wiring.weighting:
        model["weighting"] = explained(wiring.weighting)
    if wiring.pseudo_labels:
        model["pseudo_labels"] = explained(wiring.pseudo_labels)
    return {**model, "distiller": Code("distiller") if wiring.losses else None}


def _rates(wiring: Wiring) -> str:
    """The learning rate of the teacher's layers."""
    optimizer = (wiring.pair.cfg.get("optim_wrapper") or {}).get("optimizer") or {}
    name = str(optimizer.get("type", "")).rpartition(".")[2]
    plain = name == "SGD"
    why = "ours: a start" if plain else f"steps of {name or 'its optimizer'} do not shrink with the gradient"
    comment = (
        f"The teacher's layers train at a small share of the student's rate ({why}), so that the teacher stays itself: "
        "its own result should change by less than half a point. An `eta_min` of the schedule lifts their rate too."
    )
    rates = {"lr_mult": PLAIN_RATE if plain else ADAPTIVE_RATE}
    if "weight_decay" in optimizer:  # mmengine refuses a factor of what is not there
        rates["decay_mult"] = 0.0
    paramwise: dict[str, object] = {"custom_keys": {"acclimated": rates}}
    model = wiring.pair.student.model
    if len(list(model.named_parameters(remove_duplicate=False))) > len(list(model.parameters())):
        # with custom keys mmengine lists what a head's levels share once a level, which torch refuses
        paramwise["bypass_duplicate"] = True
    return assign("optim_wrapper", {"paramwise_cfg": paramwise}, comment)
