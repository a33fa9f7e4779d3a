"""From two configs and the name of a method to a config that distils."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from mmdist.engine.class_names import class_notes
from mmdist.engine.config import load_config
from mmdist.engine.modules.batch import library_of
from mmdist.engine.new.check import try_out
from mmdist.engine.new.dry import dry_run
from mmdist.engine.new.images import Images, images_of_options, resolve_images
from mmdist.engine.new.load import load_pair, load_plain
from mmdist.engine.new.methods import METHODS, wire
from mmdist.engine.new.wiring import Wiring
from mmdist.engine.new.write import config_text
from mmdist.errors import ConfigError
from mmdist.models.builder import load_model_config, mark_initialised
from mmdist.models.teacher_weights import hears_random, missing_weights, parts_without_weights

SUFFIX = ".mmdist-new.py"


@dataclass(frozen=True)
class Written:
    """What was done.

    Args:
        out (Path): The file.
        title (str): The method in a line.
        pair (str): Student and teacher.
        compared (list[str]): Loss by loss, what is compared.
        losses (dict[str, float]): Of the last iteration of the check.
        notes (list[str]): What the user should know.
        has_weights (bool): Whether the teacher has weights, in a checkpoint or by its own config, for what is compared.
    """

    out: Path
    title: str
    pair: str
    compared: list[str]
    losses: dict[str, float]
    notes: list[str]
    has_weights: bool


def new_config(
    student: str,
    teacher: str,
    method: str,
    out: str,
    *,
    teacher_ckpt: str | None = None,
    student_ckpt: str | None = None,
    unlabeled: str | None = None,
    unlabeled_per_batch: int | None = None,
    labels: str | None = None,
    size: tuple[int, int] | None = None,
    force: bool = False,
    random_teacher: bool = True,
) -> Written:
    """Write a config that distils, after it has trained one iteration.

    Args:
        student (str): Config of the student, or ``pkg::path``.
        teacher (str): Config of the teacher, likewise.
        method (str): One of ``METHODS``.
        out (str): The file to write.
        teacher_ckpt (str, optional): Weights of the teacher; file or URL.
        student_ckpt (str, optional): Weights that the student starts from.
        unlabeled (str, optional): Images without labels, from which the student learns too: a folder, or a list file
            with the path of an image in each line.
        unlabeled_per_batch (int, optional): How many of them are in a batch. Defaults to three for each labelled one,
            or to all where there are fewer; without labels to the batch size of the student's config.
        labels (str, optional): ``none``: no label is used, and the student learns from the teacher alone.
        size (tuple[int, int], optional): Height and width of the random pictures; by default those of
            training, or smaller.
        force (bool): Replace a file that is there. Defaults to False.
        random_teacher (bool): Whether a teacher without weights is no error. Defaults to True: they can be given later.

    Returns:
        Written: What was done.

    Raises:
        ConfigError: An argument that cannot work, or a pair or images that the method does not suit.
        MMDistError: A model that does not run, or weights that do not fit. Nothing is written then.
    """
    images = images_of_options(unlabeled, unlabeled_per_batch, labels)
    path = _check(method, out, size, force)
    images, about_images = resolve_images(images, load_plain(student, "--student"))
    with dry_run():
        pair = load_pair(student, teacher, size)
        wiring = wire(pair, method, images)
        bare = [] if teacher_ckpt else _random_parts(wiring, teacher)
        if bare and not random_teacher:
            raise missing_weights(pair.teacher.model, bare, "--teacher-ckpt")
        text = config_text(wiring, method, path, student, teacher, teacher_ckpt, student_ckpt)
        losses = _write(text, path, pair.tried, images)
    sides = (pair.student, pair.teacher)
    names = " <- ".join(f"{type(side.model).__name__} ({side.kind}, {side.classes} classes)" for side in sides)
    compared = [
        f"{loss.name}: {', '.join(sorted(_sources(wiring.recorders, loss.mappings)))}" for loss in wiring.losses
    ]
    notes = [*about_images, *wiring.notes, *class_notes(load_config(str(path), "-o"))]
    return Written(path, METHODS[method].title, names, compared, losses, notes, not bare)


def _random_parts(wiring: Wiring, teacher: str) -> list[str]:
    """The teacher's parts without weights; none where nothing is compared that needs them."""
    model, cfg = wiring.pair.teacher.model, load_model_config(teacher, "--teacher")
    if cfg.get("pretrained") and library_of(model) == "mmseg":  # whose segmenters hand it on to their backbone
        cfg.backbone.pretrained = cfg.pop("pretrained")
    mark_initialised(model, done=False)  # the dry run has done that, at random
    parts = parts_without_weights(model, cfg)
    sources = [recorder["source"] for recorder in wiring.recorders["teacher"].values()]
    return parts if hears_random(parts, [] if wiring.weighting or wiring.pseudo_labels else sources) else []


def _check(method: str, out: str, size: tuple[int, int] | None, force: bool) -> Path:
    if method not in METHODS:
        raise ConfigError("--method", method, METHODS)
    path = Path(out).expanduser()
    if path.suffix != ".py":
        raise ConfigError("-o", out, "a file ending in .py")
    if not path.parent.is_dir():
        raise ConfigError("-o", out, "a file in a folder that exists", f"there is no {str(path.parent)!r}")
    if path.exists() and not force:
        raise ConfigError("-o", out, "a file that does not exist yet", "--force replaces it")
    if size is not None and min(size) < 1:
        raise ConfigError("--input-size", size, "height and width in pixels")
    return path


def _write(text: str, path: Path, size: tuple[int, int], images: Images) -> dict[str, float]:
    """Try the text out, then give it its name; nothing stays behind when it fails."""
    draft = path.with_name(f".{path.stem}{SUFFIX}")  # beside the file, whose relative paths it has
    try:
        draft.write_text(text, encoding="utf-8")
        losses = try_out(draft, size, images)
        os.replace(draft, path)
    except OSError as error:
        raise ConfigError("-o", str(path), "a file that can be written", error.strerror or str(error)) from error
    finally:
        draft.unlink(missing_ok=True)
    return losses


def _sources(recorders: dict[str, dict[str, dict]], mappings: list[dict[str, dict]]) -> set[str]:
    """What a loss compares, each source once; where both sides have the same name, that name alone."""
    found = set()
    for mapping in mappings:
        for record in mapping.values():
            side = "student" if record["from_student"] else "teacher"
            found.add(recorders[side][record["recorder"]]["source"])
    return found
