"""Labels that are no class of the model: on a GPU they end a run without a word of which image it was."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import torch
from mmengine.logging import print_log
from torch import Tensor, nn
from torch.utils.data import DataLoader

from mmdist.datasets import UnlabeledDataset
from mmdist.engine.checks.datasets import leaves, spread
from mmdist.errors import ConfigError

LOOKED_AT = {"list": 1000, "map": 16}  # images: labels that stand in a list cost nothing, maps have to be read

IGNORED = 255


class Classes(NamedTuple):
    """The head that is trained on the labels."""

    key: str
    count: int
    ignored: int | None


def classes_of(model: nn.Module) -> Classes | None:
    """How many classes a model of the task libraries has; None where its loss takes other labels too.

    Args:
        model (nn.Module): The plain model, or an algorithm with a student.

    Returns:
        Classes | None: With the key path of ``num_classes``.
    """
    student = getattr(model, "student", None) if hasattr(model, "distiller") else model
    prefix = "model" if student is model else "model.architecture"
    if not isinstance(student, nn.Module) or hasattr(student, "language_model"):
        return None
    for name in ("head", "decode_head", "bbox_head", "roi_head.bbox_head"):
        head: Any = student
        for part in name.split("."):
            head = getattr(head, part, None)
        head = head[0] if isinstance(head, nn.ModuleList) and len(head) else head
        count = getattr(head, "num_classes", None)
        if not isinstance(count, int) or isinstance(count, bool) or count < 1:
            continue
        if not type(head).__module__.startswith(("mmdet.", "mmseg.", "mmpretrain.", "mmdist.")):
            return None
        if name == "decode_head" and not _takes_classes_alone(head):
            return None
        return Classes(f"{prefix}.{name}.num_classes", count, getattr(head, "ignore_index", None))
    return None


def _takes_classes_alone(head: nn.Module) -> bool:
    """A softmax cross entropy fails for a label that is no class; other losses of MMSegmentation cut it off."""
    losses = getattr(head, "loss_decode", None)
    losses = losses if isinstance(losses, nn.ModuleList) else [losses]
    softmax = [x for x in losses if type(x).__name__ == "CrossEntropyLoss" and not getattr(x, "use_sigmoid", False)]
    return bool(softmax) and getattr(head, "out_channels", head.num_classes) == head.num_classes


class LabelGuard:
    """Looks at some images' labels before a run, and at each batch's in it.

    Args:
        model (nn.Module): What is trained, without a wrapper around it.
    """

    def __init__(self, model: nn.Module) -> None:
        self.classes = classes_of(model)

    def look(self, loader: DataLoader, key: str) -> int:
        """Look at the labels of images spread over the training data.

        Args:
            loader (DataLoader): Of the training data.
            key (str): Its path in the config.

        Returns:
            int: How many images were looked at.

        Raises:
            ConfigError: A label that is no class, with the image.
        """
        seen = 0
        if self.classes is None:
            return seen
        for leaf, place in leaves(getattr(loader, "dataset", None), f"{key}.dataset"):
            reader = next((t for t in getattr(leaf.pipeline, "transforms", ()) if hasattr(t, "_load_seg_map")), None)
            if isinstance(leaf, UnlabeledDataset) and self._maps:
                self._check_nothing_counts(leaf, place)
            most = LOOKED_AT["map" if self._maps else "list"]
            for index in spread(len(leaf), most):
                info = leaf.get_data_info(index)
                labels = self._read(info, reader)
                if labels is not None and labels.numel():
                    seen += 1
                    self._check(labels, str(info.get("img_path", f"image {index} of {place}")))
        if seen:
            text = f"labels of {seen} images looked at: all below {self.classes.key} = {self.classes.count}"
            print_log(text, "current", logging.INFO)
        return seen

    def check_batch(self, batch: Any) -> None:
        """Look at the labels of a batch, as the dataloader gives it.

        Raises:
            ConfigError: A label that is no class, with the image.
        """
        samples = batch.get("data_samples") if isinstance(batch, dict) else None
        if self.classes is None or not isinstance(samples, list | tuple):
            return
        for sample in samples:
            for labels in self._labels(sample):
                self._check(labels, str(getattr(sample, "img_path", "an image without path")))

    def _check_nothing_counts(self, dataset: UnlabeledDataset, key: str) -> None:
        """The label of unlabelled images' pixels is the one that the head leaves out."""
        head, _, ignored = self.classes  # type: ignore[misc]
        if ignored is not None and dataset.ignore_index != ignored:
            hint = f"{head.replace('num_classes', 'ignore_index')} = {ignored}"
            raise ConfigError(f"{key}.ignore_index", dataset.ignore_index, "the label that the head leaves out", hint)

    @property
    def _maps(self) -> bool:
        return self.classes is not None and self.classes.key.endswith("decode_head.num_classes")

    def _read(self, info: dict, reader: Any) -> Tensor | None:
        """The labels of one image before any augmentation; None where they cannot be read so."""
        if self._maps:
            if reader is None or not type(reader).__module__.startswith("mmseg.") or not info.get("seg_map_path"):
                return None
            try:
                return torch.as_tensor(reader(dict(info, seg_fields=[]))["gt_seg_map"]).long()
            except Exception:  # a file that cannot be read is told by the pipeline
                return None
        if "instances" in info:
            found = [one.get("bbox_label", -1) for one in info["instances"] if not one.get("ignore_flag")]
        else:
            found = info.get("gt_label", [])
            found = found if isinstance(found, list | tuple) else [found]
        return torch.tensor([int(label) for label in found]) if all(_is_label(label) for label in found) else None

    def _labels(self, sample: Any) -> Iterator[Tensor]:
        if self._maps:
            found: Iterable[Any] = [getattr(getattr(sample, "gt_sem_seg", None), "data", None)]
        else:
            instances = getattr(sample, "gt_instances", None)
            found = [getattr(sample, "gt_label", None), getattr(instances, "labels", None)]
        for labels in found:
            if isinstance(labels, Tensor) and not labels.is_floating_point() and labels.numel():
                yield labels

    def _check(self, labels: Tensor, image: str) -> None:
        key, count, ignored = self.classes  # type: ignore[misc]
        if _fit(labels, count, ignored):
            return
        wrong = labels >= count if not self._maps else (labels >= count) | (labels < 0)
        if ignored is not None:
            wrong &= labels != ignored
        if bool(wrong.any()):
            label = int(labels[wrong].flatten()[0])
            hint = f"label {label} is in {image}"
            if self._maps:
                hint += f", and ignore_index is {ignored}. reduce_zero_label=True, of the dataset, makes 0 ignored"
            raise ConfigError(key, count, f"labels from 0 to {count - 1}", hint)


def _fit(labels: Tensor, count: int, ignored: int | None) -> bool:
    """All are classes, or ignored, as far as two quick passes can say: this is asked of every label map."""
    low, high = (int(value) for value in labels.aminmax())
    if ignored == IGNORED and low >= 0 and high == IGNORED:
        return int((labels.to(torch.uint8) + 1).max()) <= count  # 255 becomes 0
    return low >= 0 and high < count


def _is_label(label: Any) -> bool:
    return hasattr(label, "__index__") and not isinstance(label, bool)
