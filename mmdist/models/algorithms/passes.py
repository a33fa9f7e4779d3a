"""Forward passes that make a model's recorded modules fire, without its losses where that is possible."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from inspect import signature
from typing import Any

from mmengine.model import BaseModel
from torch import Tensor, nn

from mmdist.errors import MMDistError
from mmdist.models.recorders.tap import Tap
from mmdist.models.roi_context import roi_context

ROI_HEAD = "roi_head"
RPN_HEAD = "rpn_head"
AUXILIARY_HEAD = "auxiliary_head"


def under(source: str, name: str) -> bool:
    """Whether a recorder's source is the module ``name`` or inside it."""
    return source == name or source.startswith(f"{name}.")


def before_rois(source: str) -> bool:
    """Whether a recorder of a two-stage detector has what it wants before the regions are proposed."""
    return any(under(source, part) for part in ("backbone", "neck", RPN_HEAD))


def forward_features(model: BaseModel, inputs: Tensor, samples: Sequence | None, sources: Iterable[str] = ()) -> Any:
    """Let the recorded modules fire in ``tensor`` mode: no loss, no target assignment.

    mmseg's ``tensor`` mode leaves the auxiliary heads out; they run here when, and only when, they are recorded.

    Args:
        model (BaseModel): Of any task library.
        inputs (Tensor): (N, C, H, W), preprocessed.
        samples (Sequence, optional): The data samples; two-stage detectors and transformers read their sizes.
        sources (Iterable[str]): What is recorded. Defaults to nothing.

    Returns:
        Any: What the model's head returns.
    """
    head = getattr(model, "decode_head", None)
    if "batch_data_samples" in signature(getattr(head, "forward", forward_features)).parameters:
        # Mask2Former's and MaskFormer's, which mmseg's `tensor` mode calls without samples
        return head.forward(model.extract_feat(inputs), _with_input_shape(samples, inputs))
    heads = getattr(model, AUXILIARY_HEAD, None)
    if heads is None or not any(under(source, AUXILIARY_HEAD) for source in sources):
        return model(inputs, samples, mode="tensor")
    features: list[Any] = []

    def keep(args: tuple, kwargs: dict, output: Any) -> None:
        features.append(output)

    tap = Tap.open(model, "extract_feat", keep)
    try:
        answer = model(inputs, samples, mode="tensor")
    finally:
        tap.close(keep)
    for head in heads if isinstance(heads, nn.ModuleList) else [heads]:
        head.forward(features[-1])
    return answer


def _with_input_shape(samples: Sequence | None, inputs: Tensor) -> list[Any] | None:
    """Data samples that say how large the batch is: MaskFormer's head asks, and mmseg's preprocessor does not tell."""
    if samples is None:
        return None
    known = [sample.clone() for sample in samples]
    for sample in known:
        if "batch_input_shape" not in sample.metainfo:
            sample.set_metainfo({"batch_input_shape": tuple(inputs.shape[-2:])})
    return known


@contextmanager
def recorded_rois(student: BaseModel) -> Iterator[list[Tensor]]:
    """Inside, the regions that the student's box head is run on are put into the list: (R, 5) each."""
    head = student.roi_head
    if not hasattr(head, "_bbox_forward"):
        raise MMDistError(
            f"{type(head).__name__} of the student has no `_bbox_forward`: its sampled regions are not known, and the "
            "regions of teacher and student are not the same. Distil the FPN instead (source='neck')"
        )
    rois: list[Tensor] = []

    def keep(args: tuple, kwargs: dict, output: Any) -> None:
        given = signature(head._bbox_forward).bind(*args, **kwargs).arguments
        rois.append(given.get("rois", args[-1] if args else None))

    tap = Tap.open(head, "_bbox_forward", keep)
    try:
        yield rois
    finally:
        tap.close(keep)


def forward_rois(teacher: BaseModel, features: Sequence[Tensor], rois: Tensor) -> None:
    """The teacher's box head on the student's regions, as in its own inference; of a cascade, its first stage.

    Args:
        teacher (BaseModel): A two-stage detector.
        features (Sequence[Tensor]): The teacher's feature pyramid.
        rois (Tensor): (R, 5), the student's sampled regions.

    Raises:
        MMDistError: A head that takes more than that, such as the features of queries.
    """
    head = teacher.roi_head
    given = ([0] if isinstance(head.bbox_head, nn.ModuleList) else []) + [features, rois]
    context = roi_context(head, features)
    try:
        signature(head._bbox_forward).bind(*given, **context)
    except TypeError as error:
        raise MMDistError(
            f"{type(head).__name__} of the teacher takes more than features and regions ({error}): it cannot see the "
            "student's regions. Distil the FPN instead (source='neck')"
        ) from error
    head._bbox_forward(*given, **context)
