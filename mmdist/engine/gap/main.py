"""From a config and a checkpoint to a report."""

from __future__ import annotations

from itertools import islice
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.registry import DefaultScope

from mmdist.engine.gap import data
from mmdist.engine.gap.checks import GapOptions, out_folder, prepare
from mmdist.engine.gap.classification import compare_classifiers
from mmdist.engine.gap.findings import Findings
from mmdist.engine.gap.gradients import PartGradients, after_training, compare_gradients
from mmdist.engine.gap.models import Models, build, predictions
from mmdist.engine.gap.report import GapReport
from mmdist.engine.gap.write import command, portable, versions, write
from mmdist.errors import MMDistError

PACKAGES = {"mmpretrain": "mmpretrain", "mmseg": "mmsegmentation", "mmdet": "mmdet"}


def gap_report(asked: GapOptions) -> tuple[GapReport, list[Path]]:
    """Compare the student of a distillation run with its teacher, and write a report.

    Args:
        asked (GapOptions): Config, checkpoint, and how much of the data.

    Returns:
        tuple[GapReport, list[Path]]: The report, and the files that it was written to.

    Raises:
        MMDistError: It cannot be made, and why.
    """
    cfg, content = prepare(asked)
    with DefaultScope.overwrite_default_scope(cfg.get("default_scope")):
        models = build(cfg, content, asked.checkpoint)
        library = _library(models)
        loader = data.evaluation_loader(cfg, asked.split)
        pictures = len(loader.dataset)
        if asked.batches is not None:
            pictures = min(pictures, asked.batches * (loader.batch_size or 1))
        findings = _compare(library, models, loader, pictures, asked)
        gradients = _gradients(cfg, models, asked.gradient_batches)
    if gradients and not any(part.cosines for part in gradients.values()):
        models.notices.append("there is no cosine: one of the two losses has no gradient in the student")
    report = GapReport(
        title=Path(asked.config.rpartition("::")[2]).stem,
        asked=_description(asked, cfg, pictures),
        command=command(asked),
        versions=versions(PACKAGES[library]),
        findings=findings,
        gradients=gradients,
        notices=models.notices,
    )
    return report, write(report, out_folder(asked, cfg))


def _library(models: Models) -> str:
    from mmdist.engine.modules.batch import library_of

    found = [library_of(model) for model in models.sides]
    if found[0] != found[1] or found[1] not in PACKAGES:
        kinds = ", ".join(type(model).__name__ for model in models.sides)
        raise MMDistError(
            f"the report knows classifiers of mmpretrain, segmenters of mmseg and detectors of mmdet, teacher and "
            f"student of one library; these are {kinds}"
        )
    return found[1]


def _compare(library: str, models: Models, loader: Any, pictures: int, asked: GapOptions) -> Findings:
    predicted = predictions(models, loader, asked.batches)
    if library == "mmpretrain":
        return compare_classifiers(predicted, data.class_names(loader.dataset))
    names = data.needed_names(loader.dataset)
    if library == "mmdet":
        from mmdist.engine.gap.detection import compare_detectors, read_truth

        return compare_detectors(predicted, names, read_truth(loader.dataset), threshold=asked.score_threshold)
    from mmdist.engine.gap.segmentation import compare_segmenters, has_mask_scores, ignored_label

    return compare_segmenters(
        predicted,
        names,
        pictures=pictures,
        ignore_index=ignored_label(models.algorithm.student),
        boundary=asked.boundary,
        mask_scores=tuple(has_mask_scores(model) for model in models.sides),
    )


def _gradients(cfg: Config, models: Models, batches: int) -> dict[str, PartGradients]:
    if not batches:
        return {}
    with after_training(cfg, models.meta):
        return compare_gradients(models.algorithm, islice(data.training_loader(cfg), batches))


def _description(asked: GapOptions, cfg: Config, pictures: int) -> dict[str, Any]:
    teacher = cfg.model.get("teacher_ckpt")
    return {
        "config": portable(asked.config),
        "checkpoint": portable(asked.checkpoint),
        "teacher": portable(str(teacher)) if teacher else None,
        "split": asked.split,
        "pictures": pictures,
    }
