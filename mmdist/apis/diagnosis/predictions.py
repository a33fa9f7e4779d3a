"""What teacher and student predict on some validation images, through the student's pipeline."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

from mmengine.config import Config
from mmengine.model import BaseModel
from torch.utils.data import DataLoader

from mmdist.apis.diagnosis.boxes import DetectorTally
from mmdist.apis.diagnosis.data import batches_of, choose, labels_of
from mmdist.apis.diagnosis.input_variants import Variant, cheap_variants, other_normalisations
from mmdist.apis.diagnosis.measures import Measured
from mmdist.apis.diagnosis.models import Built
from mmdist.apis.diagnosis.tallies import ClassifierTally, SegmenterTally, Tally
from mmdist.engine.checks import check_samples
from mmdist.engine.gap.data import class_names, evaluation_loader
from mmdist.engine.gap.segmentation import has_mask_scores, ignored_label
from mmdist.engine.modules.batch import library_of
from mmdist.engine.predicting import Preprocess, predict, teachers_preprocessor

MAKES = {"mmpretrain": "gt_label", "mmseg": "gt_sem_seg"}


@dataclass
class Predictions:
    """What was measured on the validation images.

    Args:
        images (int): How many were looked at.
        total (int): How many the data has.
        classes (list[str]): Names, by number; empty where the data has none.
        measured (dict[str, Measured]): By side.
        variants (dict[str, Measured]): The teacher's, on images prepared in another way.
        skipped (list[str]): What was not measured, and why.
    """

    images: int = 0
    total: int = 0
    classes: list[str] = field(default_factory=list)
    measured: dict[str, Measured] = field(default_factory=dict)
    variants: dict[str, Measured] = field(default_factory=dict)
    skipped: list[str] = field(default_factory=list)


def predictions(
    cfg: Config, built: Built, count: int, unexplained: Callable[[Measured, int], bool], say: Callable[[str], None]
) -> Predictions:
    """Let the models predict some validation images.

    Args:
        cfg (Config): With ``val_dataloader``.
        built (Built): The models.
        count (int): How many images.
        unexplained (Callable): Takes the teacher's result and the number of images. Says whether it is at chance for a
            reason that is not known, so that more normalisations are worth a try.
        say (Callable): Takes a line on what is done.

    Returns:
        Predictions: Of the models that have weights.
    """
    found = Predictions()
    if not count:
        found.skipped.append("no predictions were asked for (--images 0)")
        return found
    if not isinstance(cfg.get("val_dataloader"), dict):
        found.skipped.append("the config has no val_dataloader: nothing could be predicted")
        return found
    sides = _sides(built, found.skipped)
    if not sides:
        return found
    loader = evaluation_loader(cfg, "val")
    check_samples(loader, built.model, "val_dataloader")
    library = library_of(built.student)
    make = _tallies(library, built, sides, loader, found)
    if make is None:
        return found
    labels = labels_of(loader.dataset) if library == "mmpretrain" else None
    chosen = choose(labels, len(loader.dataset), count)
    found.images, found.total = len(chosen), len(loader.dataset)
    built.model.eval()
    variants: list[Variant] = cheap_variants(built.model) if "teacher" in sides else []
    say(f"{' and '.join(sides)} predict {len(chosen)} of {found.total} validation images")
    results = _run(loader, chosen, _passes(sides, variants), make)
    found.measured = {side: results[side] for side in sides}
    found.variants = {variant.name: results[variant.name] for variant in variants}
    if "teacher" in sides and unexplained(found.measured["teacher"], found.images):
        more = other_normalisations(built.model)
        if more:
            say("the teacher is no better than chance: it predicts them in other normalisations")
            results = _run(loader, chosen, _passes({}, more, sides["teacher"][0]), make)
            found.variants.update({variant.name: results[variant.name] for variant in more})
    return found


def _sides(built: Built, skipped: list[str]) -> dict[str, tuple[BaseModel, Preprocess]]:
    """The models that have weights for all that a prediction takes, and what prepares their images."""
    sides: dict[str, tuple[BaseModel, Preprocess]] = {}
    if built.distils:
        weights = built.weights["teacher"]
        if weights.random and not weights.taught:
            why = "and it trains too" if built.model.teacher_trainable else "and the student learns from others"
            skipped.append(f"parts of the teacher start from random weights, {why}: it predicts nothing yet")
        else:
            sides["teacher"] = built.model.teacher, teachers_preprocessor(built.model)
    side = "student" if built.distils else "model"
    if built.weights[side].random:
        skipped.append(f"the {side} starts from random weights: it predicts nothing yet")
    else:
        sides[side] = built.student, built.model.data_preprocessor
    return sides


def _tallies(
    library: str | None, built: Built, sides: Mapping[str, Any], loader: DataLoader, found: Predictions
) -> Callable[[BaseModel], Tally] | None:
    """What counts the predictions of a model; None where they cannot be counted."""
    dataset = loader.dataset
    names = class_names(dataset)
    label = _label(loader, MAKES.get(str(library)))
    if library == "mmdet":
        from mmdist.engine.gap.detection import read_truth

        single = all(_finds_boxes(model) for model, _ in sides.values())
        if not names or not single:
            found.skipped.append("the models do not predict boxes of named classes: their metric is not measured here")
            return None
        found.classes = names
        truth = read_truth(dataset)
        return lambda model: DetectorTally(len(names), truth)
    if label is None or (library == "mmpretrain" and label.numel() != 1):
        found.skipped.append("the validation images have no label, or several: the metric is not measured here")
        return None
    if library == "mmseg":
        count = len(names) if names else int(built.student.decode_head.num_classes)
        found.classes = names or []
        ignored = ignored_label(built.student)
        return lambda model: SegmenterTally(count, ignored, has_mask_scores(model))
    found.classes = names or []
    return lambda model: ClassifierTally()


def _label(loader: DataLoader, name: str | None) -> Any:
    """The label of the first image; None where there is none."""
    batch = loader.collate_fn([loader.dataset[0]])
    samples = batch.get("data_samples") if isinstance(batch, dict) else None
    return samples[0].get(name) if samples and name else None


def _finds_boxes(model: BaseModel) -> bool:
    return any(hasattr(model, head) for head in ("bbox_head", "roi_head", "query_head"))


Passes = Mapping[str, tuple[BaseModel, Preprocess]]


def _passes(sides: Passes, variants: Sequence[Variant], teacher: BaseModel | None = None) -> Passes:
    teacher = teacher if teacher is not None else sides.get("teacher", (None, None))[0]
    return {**sides, **{variant.name: (teacher, variant.preprocess) for variant in variants}}


def _run(
    loader: DataLoader, chosen: Sequence[tuple[int, int]], passes: Passes, make: Callable[[BaseModel], Tally]
) -> dict[str, Measured]:
    tallies = {name: make(model) for name, (model, _) in passes.items()}
    for halves, batch in batches_of(loader, chosen):
        for name, (model, preprocess) in passes.items():
            # Predictions are written into the data samples: each pass gets its own.
            samples = predict(model, preprocess, deepcopy(batch))
            for half, sample in zip(halves, samples, strict=True):
                tallies[name].update(half, sample)
    return {name: tally.result() for name, tally in tallies.items()}
