"""Which images choose, and which ones the report is about: never the same."""

from __future__ import annotations

import copy
import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.registry import DATASETS, DefaultScope

from mmdist.engine import atomic
from mmdist.errors import ConfigError, MMDistError

# What two configs of the same images may differ in.
PRESENTATION = ("pipeline", "test_mode", "backend_args", "lazy_init", "serialize_data", "_scope_", "metainfo")
PRESENTATION += ("indices", "filter_cfg", "max_refetch")
JSON_METRICS = ("CocoMetric", "LVISMetric", "CocoPanopticMetric", "CocoOccludedSeparatedMetric")
ADVICE = "give `choosing` and `judging` in a plan, or a test_dataloader with other images"


@dataclass(frozen=True)
class Image:
    """One of the validation images.

    Args:
        index (int): In the whole data set.
        path (str): Its file; its index where there is none.
        id (Any): In a file of annotations; None where there is none.
    """

    index: int
    path: str
    id: Any


@dataclass(frozen=True)
class Part:
    """Validation data, and what computes the metric on it.

    Args:
        loader (dict): A dataloader's config.
        evaluator (dict | list): An evaluator's config.
        text (str): In words.
    """

    loader: dict[str, Any]
    evaluator: Any
    text: str

    def into(self, cfg: Config) -> None:
        """Validate a config's model on this part; testing it looks at the same images."""
        for name in ("val", "test"):
            cfg[f"{name}_dataloader"] = copy.deepcopy(self.loader)
            cfg[f"{name}_evaluator"] = copy.deepcopy(self.evaluator)
        cfg.setdefault("test_cfg", {"type": "TestLoop"})
        if cfg.get("test_cfg") is None:
            cfg.test_cfg = {"type": "TestLoop"}


def split(cfg: Config, folder: Path) -> tuple[Part, Part]:
    """The images that searches are judged on, and those that the report is about.

    The former are the validation data and the latter the test data, where these are other images with labels; else each
    is a half of the validation data, by a hash of the images' paths that stays the same on every machine.

    Args:
        cfg (Config): Of the plain student.
        folder (Path): Where halves of annotation files go.

    Returns:
        tuple[Part, Part]: To choose and to judge.

    Raises:
        ConfigError: Data that cannot be halved.
        MMDistError: Data that cannot be read.
    """
    check_validated(cfg)
    if has_test(cfg):
        val = Part(plain(cfg.val_dataloader), plain(cfg.val_evaluator), "the validation data")
        return val, Part(plain(cfg.test_dataloader), plain(cfg.test_evaluator), "the test data")
    found = images(cfg)
    different = len({image.path for image in found})
    if different < 2:
        raise ConfigError("val_dataloader", f"{different} images", "at least two, of which one half chooses")
    chosen, judged = halve([image.path for image in found])
    return (
        _half(cfg, [found[i] for i in chosen], folder / "choosing.json", "one half"),
        _half(cfg, [found[i] for i in judged], folder / "judging.json", "the other half"),
    )


def check_validated(cfg: Config) -> None:
    """A config has validation data, and what computes a metric on it.

    Raises:
        ConfigError: It has none.
    """
    why = "a comparison needs a metric of other images than those of training"
    for name in ("val_dataloader", "val_evaluator"):
        if not cfg.get(name):
            raise ConfigError(name, cfg.get(name), "set", why)
    dataset = cfg.val_dataloader.get("dataset")
    if not isinstance(dataset, dict):
        raise ConfigError("val_dataloader.dataset", dataset, "a data set's config", why)


def has_test(cfg: Config) -> bool:
    """Whether the test data are other images than the validation data, with labels.

    Raises:
        MMDistError: They cannot be read.
    """
    if not cfg.get("test_dataloader") or not cfg.get("test_evaluator"):
        return False
    if any(evaluator.get("format_only") for evaluator in evaluators(cfg.test_evaluator)):
        return False
    if _source(cfg.test_dataloader.get("dataset")) == _source(cfg.val_dataloader.get("dataset")):
        return False
    # other words for the same files are no other images
    return _files(cfg, "val_dataloader").isdisjoint(_files(cfg, "test_dataloader"))


def halve(paths: Sequence[str]) -> tuple[list[int], list[int]]:
    """Two halves of some images, each in the order that they had.

    Args:
        paths (Sequence[str]): Of the images; what all of them begin with does not count.

    Returns:
        tuple[list[int], list[int]]: Indices. The first has one more where the number is odd.

    Example:
        >>> halve(['a/1.png', 'a/2.png', 'a/3.png']) == halve(['b/c/1.png', 'b/c/2.png', 'b/c/3.png'])
        True
    """
    common = os.path.commonpath([os.path.dirname(path) for path in paths])
    names = [os.path.relpath(path, common or ".").replace(os.sep, "/") for path in paths]
    digests = [hashlib.sha256(name.encode("utf-8", "surrogateescape")).hexdigest() for name in names]
    order = sorted(range(len(paths)), key=lambda index: (digests[index], index))
    middle = (len(order) + 1) // 2
    # an image that is listed more than once is in one half
    while middle < len(order) and digests[order[middle]] == digests[order[middle - 1]]:
        middle += 1
    while middle == len(order) or (0 < middle < len(order) and digests[order[middle]] == digests[order[middle - 1]]):
        middle -= 1
    return sorted(order[:middle]), sorted(order[middle:])


def images(cfg: Config) -> list[Image]:
    """The validation images.

    Raises:
        ConfigError: A data set that cannot be told to take some of its images.
        MMDistError: It cannot be read.
    """
    dataset_cfg = plain(cfg.val_dataloader)["dataset"]
    given = dataset_cfg.pop("indices", None)
    dataset = _built(cfg, dataset_cfg, "val_dataloader")
    if not hasattr(dataset, "get_subset_"):
        kind = dataset_cfg.get("type")
        raise ConfigError("val_dataloader.dataset.type", kind, "a data set that takes `indices`", ADVICE)
    every = list(range(len(dataset)))
    if given is not None:
        every = [every[i] for i in given] if isinstance(given, list | tuple) else every[slice(*_first(given))]
    infos = [(index, dataset.get_data_info(index)) for index in every]
    return [Image(index, str(info.get("img_path", index)), info.get("img_id")) for index, info in infos]


def _files(cfg: Config, loader: str) -> set[str]:
    """The image files of a dataloader, as far as its data set names any."""
    dataset = _built(cfg, plain(cfg[loader])["dataset"], loader)
    if not hasattr(dataset, "get_data_info"):
        return set()
    paths = [dataset.get_data_info(index).get("img_path") for index in range(len(dataset))]
    return {os.path.realpath(path) for path in paths if path}


def _built(cfg: Config, dataset_cfg: dict[str, Any], loader: str) -> Any:
    with DefaultScope.overwrite_default_scope(cfg.get("default_scope")):
        try:
            dataset = DATASETS.build(copy.deepcopy(dataset_cfg))
            if hasattr(dataset, "full_init"):
                dataset.full_init()
        except MMDistError:
            raise
        except Exception as error:  # whatever a data set raises that lacks its files
            raise MMDistError(f"{loader}.dataset cannot be read: {type(error).__name__}: {error}") from error
    return dataset


def _first(count: int) -> tuple[int | None, int | None]:
    """mmengine's ``indices=count``: so many from the beginning, or from the end where it is negative."""
    return (None, count) if count >= 0 else (count, None)


def evaluators(given: Any) -> list[dict[str, Any]]:
    """An evaluator's config as a list."""
    return [each for each in (given if isinstance(given, list | tuple) else [given]) if each]


def plain(node: Any) -> Any:
    """A part of a config as plain dicts."""
    if hasattr(node, "to_dict"):
        return node.to_dict()
    return [plain(each) for each in node] if isinstance(node, list | tuple) else copy.deepcopy(node)


def _source(dataset: Any) -> Any:
    if isinstance(dataset, dict):
        return {name: _source(value) for name, value in dataset.items() if name not in PRESENTATION}
    return [_source(each) for each in dataset] if isinstance(dataset, list | tuple) else dataset


def _half(cfg: Config, found: Sequence[Image], file: Path, which: str) -> Part:
    loader, metrics = plain(cfg.val_dataloader), evaluators(plain(cfg.val_evaluator))
    loader["dataset"]["indices"] = [image.index for image in found]
    for metric in metrics:
        if not metric.get("ann_file"):
            continue
        kind = str(metric.get("type")).rpartition(".")[2]
        if kind not in JSON_METRICS:
            raise ConfigError(
                "val_evaluator.type", kind, f"one without a file of its own, or of {JSON_METRICS}", ADVICE
            )
        _write_half(metric["ann_file"], {image.id for image in found}, file)
        metric["ann_file"] = str(file)
    return Part(loader, metrics, f"{which} of the validation data, {len(found)} images")


def _write_half(source: str, ids: set[Any], file: Path) -> None:
    """The annotations of some images, in COCO's format."""
    try:
        content = json.loads(Path(source).read_text(encoding="utf-8"))
        content["images"] = [image for image in content["images"] if image["id"] in ids]
        content["annotations"] = [entry for entry in content["annotations"] if entry["image_id"] in ids]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigError("val_evaluator.ann_file", source, "a file in COCO's format", str(error)) from error
    text = json.dumps(content)
    if file.is_file() and file.read_text(encoding="utf-8") == text:
        return  # jobs that begin at the same time do not write over each other
    file.parent.mkdir(parents=True, exist_ok=True)
    atomic.write_text(text, file)
