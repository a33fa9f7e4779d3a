"""What a teacher decides, as annotations in the form of its task, in the frame of the student's batch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from mmengine.model import BaseModel
from mmengine.structures import InstanceData, PixelData
from torch import Tensor

from mmdist.errors import ConfigError
from mmdist.functional import decision_confidence, hard_labels
from mmdist.models.algorithms.pseudo_labels.options import KEY
from mmdist.models.algorithms.unlabeled import content
from mmdist.models.ignore_index import head_ignore_index

Labeler = Callable[[Tensor, Sequence[Any], float], list[Any]]
IGNORED = 255
SMALLEST = 1.0  # pixels, of a box's side: the logarithm of none is infinite
SURE = "pseudo_label_is_sure"  # in the metainfo of an image for a classifier: (1,), or (C,) with several labels


class SegmentationLabeler:
    """Maps of classes, those of the teacher's own inference on whole images.

    Args:
        student (BaseModel): Its head says which label is ignored.
        teacher (BaseModel): In evaluation mode.
    """

    def __init__(self, student: BaseModel, teacher: BaseModel) -> None:
        if hasattr(student.decode_head, "d_head"):  # PIDNet's, whose loss reads edges of the labels
            name = type(student.decode_head).__name__
            raise ConfigError(KEY, name, "a student that learns no edges, of which the teacher decides none")
        self.teacher, head = teacher, teacher.decode_head
        head = head[-1] if hasattr(head, "__getitem__") else head
        index = head_ignore_index(student)
        self.ignore_index = IGNORED if index is None else index
        losses = getattr(head, "loss_decode", None)
        first = losses[0] if hasattr(losses, "__getitem__") else losses
        self.options: dict[str, Any] = {"activation": "softmax"}
        if hasattr(head, "num_queries"):  # what its inference gives is a sum of probabilities
            self.options = {"activation": "none"}
        elif getattr(head, "out_channels", 0) == 1:
            self.options = {"activation": "sigmoid", "positive_thr": head.threshold}
        elif getattr(first, "use_sigmoid", False):
            self.options = {"activation": "sigmoid"}

    def __call__(self, images: Tensor, samples: Sequence[Any], score_thr: float) -> list[Any]:
        """Data samples with ``gt_sem_seg``: (1, H, W) of the batch, ignored outside the image and where unsure."""
        size = tuple(images.shape[-2:])
        metas = [{**sample.metainfo, "img_shape": size, "pad_shape": size} for sample in samples]
        scores = self.teacher.encode_decode(images, metas)
        labels = hard_labels(scores, score_thr, ignore_index=self.ignore_index, **self.options)
        labels.masked_fill_(~content(images, samples), self.ignore_index)
        found = []
        for sample, own in zip(samples, labels, strict=True):
            sample = sample.clone()
            sample.gt_sem_seg = PixelData(data=own[None])
            found.append(sample)
        return found


class ClassificationLabeler:
    """The class of each image, as the teacher predicts it; of a head with several labels, all that it predicts.

    Args:
        student (BaseModel): Has a ``head.loss_module``.
        teacher (BaseModel): In evaluation mode.
    """

    def __init__(self, student: BaseModel, teacher: BaseModel) -> None:
        if not hasattr(getattr(student, "head", None), "loss_module"):
            name = type(getattr(student, "head", student)).__name__
            raise ConfigError(KEY, name, "a student whose head has a `loss_module`")
        self.teacher = teacher
        # mmpretrain's heads that give an image several labels
        self.several, theirs = (hasattr(model.head, "thr") for model in (student, teacher))
        if self.several != theirs:
            wanted = f"a head that gives an image {'several labels' if self.several else 'one label'}, as the student's"
            raise ConfigError("model.teacher.head", type(teacher.head).__name__, wanted)
        if self.several and not getattr(student.head.loss_module, "use_sigmoid", True):
            wanted = "a loss that asks of each class by itself (use_sigmoid=True)"
            hint = "model.pseudo_labels leaves out the classes that the teacher is not sure of"
            raise ConfigError(
                "model.architecture.head.loss_module", type(student.head.loss_module).__name__, wanted, hint
            )

    def __call__(self, images: Tensor, samples: Sequence[Any], score_thr: float) -> list[Any]:
        """Data samples with ``gt_label``, and ``gt_score`` where the batch has scores, as Mixup leaves them."""
        predicted = self.teacher(images, [type(sample)(metainfo=sample.metainfo) for sample in samples], mode="predict")
        found = []
        for sample, answer in zip(samples, predicted, strict=True):
            score, label = answer.pred_score.float(), answer.pred_label
            chosen = torch.zeros_like(score).index_fill(0, label.reshape(-1), 1.0)
            confidence = decision_confidence(score, chosen > 0) if self.several else score.max().reshape(1)
            sample = sample.clone()
            if "gt_score" in sample:
                sample.set_gt_score(chosen)
            sample.set_gt_label(label)
            sample.set_metainfo({SURE: confidence >= score_thr})
            found.append(sample)
        return found


class DetectionLabeler:
    """Boxes of the teacher's own inference, in the pixels of the batch.

    Args:
        student (BaseModel): Learns boxes alone.
        teacher (BaseModel): In evaluation mode.
    """

    def __init__(self, student: BaseModel, teacher: BaseModel) -> None:
        masks = ("mask_head", "panoptic_head")
        masked = getattr(student, "with_mask", False) or any(hasattr(student, name) for name in masks)
        if masked or hasattr(getattr(student, "bbox_head", None), "loss_mask"):  # of its box head: RTMDet-Ins
            raise ConfigError(KEY, type(student).__name__, "a student that learns boxes alone, without masks")
        self.teacher = teacher

    def __call__(self, images: Tensor, samples: Sequence[Any], score_thr: float) -> list[Any]:
        """Data samples with ``gt_instances``: boxes (M, 4) and labels (M,)."""
        asked = []
        for sample in samples:
            shape = tuple(sample.img_shape[:2])
            whole = {"img_shape": shape, "ori_shape": shape, "scale_factor": (1.0, 1.0)}
            asked.append(type(sample)(metainfo={**sample.metainfo, **whole}))
        predicted = self.teacher(images, asked, mode="predict")
        found = []
        for sample, answer in zip(samples, predicted, strict=True):
            boxes = answer.pred_instances
            sides = boxes.bboxes[:, 2:] - boxes.bboxes[:, :2]
            kept = boxes[(boxes.scores >= score_thr) & (sides >= SMALLEST).all(dim=1)]
            sample = sample.clone()
            sample.gt_instances = InstanceData(bboxes=kept.bboxes.float(), labels=kept.labels)
            found.append(sample)
        return found


def make_labeler(student: BaseModel, teacher: BaseModel) -> Labeler:
    """How a teacher decides for a student.

    Args:
        student (BaseModel): Of MMSegmentation, MMDetection or MMPretrain.
        teacher (BaseModel): Of the same task, with as many classes.

    Raises:
        ConfigError: Two tasks, other numbers of classes, or a student that learns more than the teacher decides.
    """
    kind, theirs = _kind(student), _kind(teacher)
    if kind is None:
        raise ConfigError(KEY, type(student).__name__, "a segmenter, a classifier or a detector of boxes")
    if theirs is not kind:
        raise ConfigError("model.teacher", type(teacher).__name__, f"a model of {type(student).__name__}'s task")
    classes, others = (_classes(model) for model in (student, teacher))
    if None not in (classes, others) and classes != others:
        hint = "the labels of model.pseudo_labels are the teacher's decisions"
        raise ConfigError("model.teacher", f"{others} classes", f"the student's {classes}", hint)
    return kind(student, teacher)


def _kind(model: BaseModel) -> type | None:
    return next((kind for name, kind in KINDS.items() if getattr(model, name, None) is not None), None)


KINDS = {  # by the head that decides
    "decode_head": SegmentationLabeler,
    "bbox_head": DetectionLabeler,
    "roi_head": DetectionLabeler,
    "head": ClassificationLabeler,
}


def _classes(model: BaseModel) -> int | None:
    """How many classes the first head with such a number tells apart."""
    for name in ("decode_head", "roi_head", "bbox_head", "head"):
        head = getattr(model, name, None)
        for part in () if head is None else head.modules():
            if isinstance(found := getattr(part, "num_classes", None), int):
                return found
    return None
