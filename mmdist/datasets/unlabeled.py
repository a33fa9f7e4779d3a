"""``mmdist.UnlabeledDataset``."""

from __future__ import annotations

import copy
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mmengine.dataset import BaseDataset
from mmengine.logging import print_log
from mmengine.registry import DATASETS as ROOT_DATASETS
from torch import Tensor

from mmdist.datasets.empty_annotations import without_annotations
from mmdist.datasets.images import images_in, images_of_list, is_local, look_at_all
from mmdist.errors import ConfigError, MMDistError, one_line, printable
from mmdist.registry import DATASETS

KEY = "train_dataloader.dataset.unlabeled"
BAD_IMAGES = ("error", "skip")
MAX_PIXELS = 100_000_000
LABELED, CONTENT = "labeled", "content"  # in the metainfo of an image's data sample
TRIES = 20  # images in a row that a pipeline may give nothing for
SHOWN = 3
SIZE = ("width", "height")


@DATASETS.register_module()
class UnlabeledDataset(BaseDataset):
    """Images without labels, for MMSegmentation, MMDetection and MMPretrain.

    The pipeline is the task's own training pipeline, so that crops and sizes are those of the labelled images. Where it
    loads annotations, it gets empty ones: a label map of ignored pixels, no boxes, no masks, and a classifier's dummy
    label. The data sample of each image says ``labeled=False`` in its metainfo. Inside
    :class:`~mmdist.datasets.LabeledUnlabeledDataset` the pipeline is that of the labelled images.

    Args:
        images (str | dict): A folder (searched with the folders in it), a text file with the path of an image in each
            line, or the config of a dataset, whose images are taken and whose labels are not.
        pipeline (Sequence[dict]): The task's training pipeline.
        data_root (str): What relative paths are relative to; of a list file also its lines. Defaults to ''.
        bad_images (str): What to do about an image that cannot be read or is too large: ``error``, or ``skip`` it with
            a warning. Defaults to ``error``.
        max_pixels (int): Height times width from which an image is too large. Defaults to 100 million.
        follow_links (bool): Take links that lead out of the folder. Defaults to False.
        ignore_index (int): What the label map is filled with: the label that the student's head leaves out. Defaults
            to 255.
        label (Any): A classifier's dummy label; nothing learns from it. Defaults to 0.
        **kwargs: ``metainfo``, ``indices``, ``serialize_data``, ``lazy_init`` and ``max_refetch``, as in mmengine's
            ``BaseDataset``.

    Raises:
        ConfigError: A folder or list without images, an image that cannot be read or is too large, a link that leads
            out of the folder, or a pipeline that loads annotations in an unknown way.

    Example:
        >>> import tempfile
        >>> from PIL import Image
        >>> folder = tempfile.TemporaryDirectory()
        >>> Image.new('RGB', (8, 6)).save(f'{folder.name}/a.png')
        >>> dataset = UnlabeledDataset(images=folder.name, pipeline=[dict(type='LoadImageFromFile')])
        >>> len(dataset), dataset[0]['img'].shape
        (1, (6, 8, 3))
        >>> folder.cleanup()
    """

    def __init__(
        self,
        images: str | dict,
        pipeline: Sequence[Any] = (),
        data_root: str = "",
        bad_images: str = "error",
        max_pixels: int = MAX_PIXELS,
        follow_links: bool = False,
        ignore_index: int = 255,
        label: Any = 0,
        max_refetch: int = TRIES,
        **kwargs: Any,
    ) -> None:
        if bad_images not in BAD_IMAGES:
            raise ConfigError(f"{KEY}.bad_images", bad_images, BAD_IMAGES)
        if not isinstance(images, str | dict) or not images:
            raise ConfigError(f"{KEY}.images", images, "a folder, a list file, or the config of a dataset")
        if not isinstance(max_pixels, int) or max_pixels < 1:
            raise ConfigError(f"{KEY}.max_pixels", max_pixels, "a whole number, 1 or above")
        self.images = images
        self.bad_images, self.max_pixels, self.follow_links = bad_images, max_pixels, follow_links
        self.ignore_index, self.label = ignore_index, label
        self._nothing, self._told = 0, set()
        lazy = kwargs.pop("lazy_init", False)
        super().__init__(
            data_root=data_root or "",
            data_prefix={},
            pipeline=list(pipeline),
            max_refetch=max_refetch,
            lazy_init=True,
            **kwargs,
        )
        if not lazy:
            self.full_init()

    @property
    def pipeline(self) -> Any:
        """Compose: The transforms. One that is set, as hooks exchange pipelines, is copied and loads no annotation."""
        return self._pipeline

    @pipeline.setter
    def pipeline(self, pipeline: Any) -> None:
        self._pipeline = copy.deepcopy(pipeline)
        without_annotations(self._pipeline.transforms, f"{KEY}.pipeline", self.ignore_index)

    def load_data_list(self) -> list[dict]:
        """The images, each with what the task libraries' pipelines ask for where there are no labels."""
        infos = self._infos_of_dataset() if isinstance(self.images, dict) else self._infos_of_files(self.images)
        if not infos:
            raise ConfigError(f"{KEY}.images", self.images, "images: it has none")
        empty = dict(instances=[], seg_fields=[], label_map=None, reduce_zero_label=False, gt_label=self.label)
        return [{"img_id": index, **info, **copy.deepcopy(empty)} for index, info in enumerate(infos)]

    def prepare_data(self, idx: int) -> Any:
        """One image through the pipeline; None, and another is taken, where the pipeline gives none."""
        results: Any = self.get_data_info(idx)
        path = str(results["img_path"])
        for number, transform in enumerate(self.pipeline.transforms):
            try:
                results = transform(results)
            except Exception as error:
                if number:
                    raise
                self._refuse(f"{printable(path)} cannot be read ({one_line(error)})", error)
                return None
            if results is None:
                self._count_nothing(f"{KEY}.pipeline.{number}", type(transform).__name__, path)
                return None
        self._nothing = 0
        return mark_unlabeled(results, self.ignore_index)

    def _count_nothing(self, key: str, name: str, path: str) -> None:
        self._nothing += 1
        if self._nothing > self.max_refetch:
            hint = f"for {self._nothing} images in a row it gave None, the last {printable(path)}"
            raise ConfigError(key, name, "a transform that gives an image back which has no annotation", hint)

    def _refuse(self, text: str, error: Exception) -> None:
        if self.bad_images == "error":
            raise MMDistError(f"{KEY}.images: {text}; bad_images='skip' passes over it") from error
        if text not in self._told:
            self._told.add(text)
            print_log(f"{KEY}.images: {text}; another image is taken", "current", logging.WARNING)
        self._count_nothing(f"{KEY}.images", text, text)

    def _infos_of_files(self, images: str) -> list[dict]:
        key, path = f"{KEY}.images", Path(self.data_root, images).expanduser()
        if not is_local(images):
            raise ConfigError(key, images, "a folder or a list file of this machine, or the config of a dataset")
        if path.is_dir():
            paths = images_in(path, key, follow_links=self.follow_links)
        elif path.is_file():
            root = Path(self.data_root).expanduser() if self.data_root else path.parent
            paths = images_of_list(path, root, key, follow_links=self.follow_links)
        else:
            raise ConfigError(key, str(path), "a folder or a list file: it does not exist")
        return self._checked([dict(img_path=str(path)) for path in paths])

    def _infos_of_dataset(self) -> list[dict]:
        dataset = ROOT_DATASETS.build(without_labels(self.images))
        self._metainfo = self._metainfo or copy.deepcopy(getattr(dataset, "metainfo", {}))  # a checkpoint names classes
        infos: dict[str, dict] = {}
        for index in range(len(dataset)):
            found = dataset.get_data_info(index)
            if not isinstance(found.get("img_path"), str):
                raise ConfigError(f"{KEY}.images", self.images, "a dataset of images that have an `img_path`")
            infos.setdefault(found["img_path"], {name: found[name] for name in ("img_path", *SIZE) if name in found})
        known, local = list(infos.values()), all(map(is_local, infos))
        return self._checked(known) if local else known

    def _checked(self, infos: list[dict]) -> list[dict]:
        """Those that can be read, with their sizes."""
        kept, faults = [], []
        looks = look_at_all([info["img_path"] for info in infos], self.max_pixels)
        for info, look in zip(infos, looks, strict=True):
            if look.fault:
                faults.append(f"{printable(info['img_path'])} {look.fault}")
            else:
                kept.append({**info, "width": look.width, "height": look.height})
        if faults:
            more = f" and {len(faults) - SHOWN} more" if len(faults) > SHOWN else ""
            text = "; ".join(faults[:SHOWN]) + more
            if self.bad_images == "error" or not kept:
                hint = text if not kept else f"{text}; bad_images='skip' passes over such images"
                raise ConfigError(f"{KEY}.images", self.images, "images that can be read", hint)
            print_log(f"{KEY}.images: {len(faults)} images are left out: {text}", "current", logging.WARNING)
        return kept


def mark_unlabeled(sample: Any, ignore_index: int) -> Any:
    """Say in the metainfo of a packed sample that it has no label; what is not packed yet is left as it is.

    A label map tells by now which of its pixels a transform has filled up: where not all are of the image, the metainfo
    ``content``, (1, H, W) bool, keeps it. Then all pixels are ignored.
    """
    packed = sample.get("data_samples") if isinstance(sample, dict) else None
    if not hasattr(packed, "set_metainfo") or getattr(packed, LABELED, True) is False:
        return sample
    packed.set_metainfo({LABELED: False})
    labels = getattr(getattr(packed, "gt_sem_seg", None), "data", None)
    if isinstance(labels, Tensor):
        content = labels != ignore_index
        if not bool(content.all()):
            packed.set_metainfo({CONTENT: content})
        labels.fill_(ignore_index)
    return sample


def without_labels(dataset: dict) -> dict:
    """The config of a dataset, or of a wrapper, that loads every image and filters none by its labels."""
    dataset = copy.deepcopy(dict(dataset))
    if isinstance(dataset.get("dataset"), dict):
        return without_labels({"_scope_": dataset.get("_scope_"), **dataset["dataset"]})
    if isinstance(dataset.get("datasets"), list | tuple):
        scope = dataset.get("_scope_")
        parts = [without_labels({"_scope_": scope, **part}) for part in dataset["datasets"]]
        return dict(type="mmengine.ConcatDataset", datasets=parts)
    if dataset.get("_scope_") is None:
        dataset.pop("_scope_", None)
    dataset.pop("filter_cfg", None)
    return {**dataset, "pipeline": [], "lazy_init": False}
