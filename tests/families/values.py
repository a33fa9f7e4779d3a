"""What a written config records, and what the models' own predictions are made of: compared on two images."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from inspect import BoundArguments, signature
from pathlib import Path
from typing import Any

import torch
from mmengine.registry import MODELS, DefaultScope
from torch import Tensor, nn
from torch.nn.functional import interpolate

from mmdist.engine.config import load_config
from mmdist.engine.cpu import adapt_to_cpu
from mmdist.engine.new.dry import pictures, seed
from mmdist.engine.new.input_sizes import resized
from mmdist.engine.new.load import without_weights
from mmdist.engine.new.pair import Pair
from mmdist.engine.new.passes import Batch, given, randomise, reached
from mmdist.engine.new.sides import CLASSIFIER, DENSE, SEGMENTER, Side
from mmdist.models.algorithms.modes import as_in_training
from mmdist.models.builder import load_model_config

FUSED = "teacher, norms fused"  # in another order of sums
NEAR = 1e-5
FUSED_NEAR = 1e-3


def deviations(config: Path, pair: Pair) -> dict[str, float]:
    """How far recorded class scores are from what ``predict`` decides with.

    Args:
        config (Path): A written config that compares class scores.
        pair (Pair): What it was written from.

    Returns:
        dict[str, float]: By side, and for the teacher as it runs by default too, with its norms fused: the largest
            difference, in units of the largest score where that is above 1.
    """
    plain = _deviations(config, pair, fused=False)
    return {**plain, FUSED: _deviations(config, pair, fused=True)["teacher"]}


def _deviations(config: Path, pair: Pair, *, fused: bool) -> dict[str, float]:
    cfg = load_config(str(config), "-o")
    cfg.model.teacher = load_model_config(cfg.model.teacher, "model.teacher")
    adapt_to_cpu(cfg)
    model = cfg.model
    model.architecture = without_weights(model.architecture)
    model.teacher = without_weights(model.teacher)
    model.update(random_teacher=True, teacher_fuse_conv_bn=fused)
    with DefaultScope.overwrite_default_scope(cfg.get("default_scope")), torch.no_grad():
        seed()
        algorithm = MODELS.build({"data_preprocessor": cfg.get("data_preprocessor"), **model})
        # Each model's own preprocessing; a classifier's Mixup is drawn anew in every call, and only in training.
        training = pair.student.kind != CLASSIFIER
        parts = {"student": algorithm.student, "teacher": algorithm.teacher}
        batches = {
            name: part.data_preprocessor(pictures(pair.cfg, part, pair.tried), training=training)
            for name, part in parts.items()
        }
        batches["teacher"] = resized(batches["teacher"], pair.teacher_size)
        if pair.student.kind == CLASSIFIER:
            _soften(batches["student"])
        for part in parts.values():
            randomise(part, batches["student"])
        shown: list[Tensor] = []
        handle = algorithm.teacher.backbone.register_forward_pre_hook(lambda _, args: shown.append(args[0]))
        records, rois = _records(algorithm, pair, batches["student"])
        handle.remove()
        found = {}
        for side in (pair.student, pair.teacher):
            own = Side(side.name, parts[side.name], side.task, side.input_shape, side.kind)
            expected = _decided(own, batches[side.name], rois)
            spots = [records[side.name][spot.source, spot.what, spot.record_idx, spot.data_idx] for spot in side.logits]
            found[side.name] = _difference(own, spots, expected)
            if side.name == "teacher" and found["teacher"] > NEAR and _same(shown[0], batches["teacher"]["inputs"]):
                # A model that chooses neighbours, as ViG does, may choose others for a picture a rounding error away.
                batch = {**batches["teacher"], "inputs": shown[0]}
                found["teacher"] = _difference(own, spots, _decided(own, batch, rois))
            if side.name == "teacher" and fused and found["teacher"] > FUSED_NEAR:
                # A hundred layers at random amplify a rounding error: it counts as it was before that.
                found["teacher"] /= max(1.0, _amplification(own, batches["teacher"], rois))
    return found


def _amplification(side: Side, batch: Batch, rois: list[Tensor]) -> float:
    """How much farther apart than two pictures a model's answers to them are, both in units of the largest value."""
    inputs = batch["inputs"]
    seed()
    other = {**batch, "inputs": inputs * (1 + NEAR * torch.randn_like(inputs))}
    answers = [_decided(side, each, rois) for each in (batch, other)]
    moved = max(
        float((one - two).abs().max()) / max(1.0, float(one.abs().max())) for one, two in zip(*answers, strict=True)
    )
    return moved / NEAR


def _soften(batch: Batch) -> None:
    """One-hot labels as numbers that Mixup would have mixed, which the loss wants then."""
    for sample in batch["data_samples"]:
        if "gt_score" in sample:
            sample.set_gt_score(sample.gt_score.float())


def _same(one: Tensor, other: Tensor) -> bool:
    return one.shape == other.shape and float((one - other).abs().max()) <= NEAR * float(other.abs().max())


def _records(algorithm: Any, pair: Pair, batch: Batch) -> tuple[dict[str, dict[tuple, Tensor]], list[Tensor]]:
    """Everything that the config's losses would compare in one training pass, and the regions of its box head."""
    distiller = algorithm.distiller
    found: dict[str, dict[tuple, Tensor]] = {"student": {}, "teacher": {}}
    rois: list[Tensor] = []

    def collect() -> dict[str, Tensor]:
        for mappings in distiller.loss_forward_mappings.values():
            for mapping in mappings.values():
                side = "student" if mapping["from_student"] else "teacher"
                recorder = getattr(distiller, f"{side}_recorders").get_recorder(mapping["recorder"])
                record, data = mapping.get("record_idx", 0), mapping.get("data_idx")
                what = "inputs" if "Inputs" in type(recorder).__name__ else getattr(recorder, "what", "outputs")
                found[side][recorder.source, what, record, data] = recorder.get_record_data(record, data)
        return {}

    distiller.compute_distill_losses = collect
    algorithm._teacher.own_numbers = lambda *args: nullcontext()
    with (
        as_in_training(algorithm.student),
        _seeded(algorithm.student, algorithm.teacher),
        _noted(pair, algorithm, rois),
    ):
        algorithm.teacher.eval()
        algorithm(**given(batch), mode="loss")
    return found, rois


@contextmanager
def _noted(pair: Pair, algorithm: Any, rois: list[Tensor]) -> Iterator[None]:
    head = getattr(algorithm.student, "roi_head", None)
    if head is None:
        yield
        return
    original = head._bbox_forward

    def forward(*args: Any, **kwargs: Any) -> Any:
        rois.append(kwargs.get("rois", args[-1]))
        return original(*args, **kwargs)

    vars(head)["_bbox_forward"] = forward
    try:
        yield
    finally:
        del vars(head)["_bbox_forward"]


@contextmanager
def _seeded(*models: nn.Module) -> Iterator[None]:
    """Heads that draw random numbers draw the same in each pass."""
    handles = [model.backbone.register_forward_pre_hook(lambda *_: seed()) for model in models]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _decided(side: Side, batch: Batch, rois: list[Tensor]) -> list[Tensor]:
    model = side.model
    model.eval()
    with _seeded(model):
        if side.kind == CLASSIFIER:
            predicted = model(**given(batch), mode="predict")
            return [torch.stack([sample.pred_score for sample in predicted])]
        if side.kind == SEGMENTER:
            predicted = model(**given(batch), mode="predict")
            return [torch.stack([sample.seg_logits.data for sample in predicted])]
        if side.kind == DENSE:
            return list(reached(model, batch, model.bbox_head, "predict_by_feat"))
        return [_scores_of_regions(model, batch, rois[0])]


def _scores_of_regions(model: Any, batch: Batch, rois: Tensor) -> Tensor:
    """The class scores that the box head gives these regions, run as the model's prediction first runs it."""
    head = model.roi_head
    forward = head._bbox_forward
    calls: list[BoundArguments] = []

    def note(*args: Any, **kwargs: Any) -> Any:
        calls.append(signature(forward).bind(*args, **kwargs))
        return forward(*args, **kwargs)

    vars(head)["_bbox_forward"] = note
    try:
        model(**given(batch), mode="predict")
    finally:
        del vars(head)["_bbox_forward"]
    calls[0].arguments["rois"] = rois
    return forward(*calls[0].args, **calls[0].kwargs)["cls_score"]


def _difference(side: Side, recorded: list[Tensor], decided: list[Tensor]) -> float:
    assert len(recorded) == len(decided), (len(recorded), len(decided))
    worst = 0.0
    for value, level in zip(recorded, decided, strict=True):
        if side.kind == SEGMENTER:
            head = side.model.decode_head
            head = head[-1] if isinstance(head, nn.ModuleList) else head
            value = interpolate(value, level.shape[2:], mode="bilinear", align_corners=head.align_corners)
        forms = [value, value.sigmoid(), value.softmax(1)]
        scale = max(1.0, float(level.abs().max()))
        worst = max(worst, min(float((form - level).abs().max()) for form in forms) / scale)
    return worst
