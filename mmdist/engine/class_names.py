"""Whether the classes of student and teacher, which are compared by number, have the same names."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from mmengine.config import Config

from mmdist.compat.checkpoint import load_checkpoint_file
from mmdist.engine.config import load_config
from mmdist.engine.dataset_classes import REMOTE, config_names, meta_names
from mmdist.errors import MMDistError

FEATURES = ("backbone", "neck")
SHOWN = 6  # classes of a list
LONGEST = 40  # characters of a name


def class_notes(cfg: Config, teacher_meta: Mapping[str, Any] | None = None) -> list[str]:
    """What to say of the class names of student and teacher, before anything is built.

    Args:
        cfg (Config): Of a distillation: the student's data, and ``model`` with ``teacher`` and ``teacher_ckpt``.
        teacher_meta (Mapping[str, Any], optional): What the teacher's checkpoint says about itself. Defaults to that of
            a local ``teacher_ckpt``.

    Returns:
        list[str]: One line, or none: the names are the same, are not known, or no class scores are compared.
    """
    model = cfg.get("model")
    if not isinstance(model, dict) or "teacher" not in model or not _compares_scores(model):
        return []
    student = config_names(cfg, model.get("architecture"))
    if student is None:
        return []
    teacher = meta_names(_read_meta(model.get("teacher_ckpt")) if teacher_meta is None else teacher_meta)
    path = model["teacher"]
    path = path.get("cfg_path") if isinstance(path, dict) else path  # MMRazor's form
    if teacher is None and isinstance(path, str):
        try:
            plain = load_config(path, "model.teacher")
        except MMDistError:  # which the check of the model answers
            return []
        teacher = config_names(plain, plain.get("model"))
    text = "" if teacher is None else compare_names(student, teacher)
    return [text] if text else []


def compare_names(student: Sequence[str], teacher: Sequence[str]) -> str:
    """How the classes of the two differ, in one line; empty: they do not.

    Upper case, ``_``, ``-`` and spaces do not matter.

    Args:
        student (Sequence[str]): Names, by number.
        teacher (Sequence[str]): Likewise.

    Returns:
        str: What has another number, and what only one of them has.

    Example:
        >>> compare_names(['traffic light', 'car'], ['Traffic-Light', 'car'])
        ''
        >>> compare_names(['a'], ['b'])
        "class scores are compared by number, and only the student has 'a'; only the teacher has 'b'"
    """
    own, other = ([_plain(name) for name in names] for names in (student, teacher))
    if own == other:
        return ""
    number = {name: index for index, name in reversed(list(enumerate(other)))}
    moved = [(i, number[name]) for i, name in enumerate(own) if name in number and other[i : i + 1] != [name]]
    shown = [f"{i} {_shown(student[i])} is the teacher's {j}" for i, j in moved]
    parts = [f"the same class has another one: {_listed(shown)}"] if moved else []
    for side, names, others in (("student", student, other), ("teacher", teacher, own)):
        lone = [_shown(name) for name in names if _plain(name) not in others]
        parts += [f"only the {side} has {_listed(lone)}"] if lone else []
    return f"class scores are compared by number, and {'; '.join(parts)}" if parts else ""


def _read_meta(path: Any) -> Mapping[str, Any]:
    if not isinstance(path, str) or REMOTE.match(path):
        return {}
    try:
        meta = load_checkpoint_file(path, map_location="cpu").get("meta")
    except MMDistError:  # which the check of the checkpoints answers
        return {}
    return meta if isinstance(meta, Mapping) else {}


def _compares_scores(model: Mapping[str, Any]) -> bool:
    """Whether anything behind the neck is compared, or the task loss weighed."""
    distiller = model.get("distiller")
    if model.get("weighting") is not None or not isinstance(distiller, dict):
        return True
    connectors = distiller.get("connectors") or {}
    if any("SDDHead" in str(connector) for connector in connectors.values()):
        return True
    recorders = [
        recorder
        for side in ("student_recorders", "teacher_recorders")
        for recorder in (distiller.get(side) or {}).values()
    ]
    sources = [str(recorder.get("source", "")) for recorder in recorders if isinstance(recorder, dict)]
    return any(source.partition(".")[0] not in FEATURES for source in sources)


def _plain(name: str) -> str:
    return re.sub(r"[\s_-]+", "", name).casefold()


def _shown(name: str) -> str:
    return repr(name if len(name) <= LONGEST else f"{name[:LONGEST]}...")


def _listed(parts: Sequence[str]) -> str:
    return ", ".join(parts[:SHOWN]) + (f" and {len(parts) - SHOWN} more" if len(parts) > SHOWN else "")
