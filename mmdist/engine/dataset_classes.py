"""The class names of the data of a config, and of what a checkpoint was trained on."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from mmengine.config import Config

from mmdist.engine.lookup import find_type
from mmdist.errors import MMDistError

INSIDE = ("dataset", "labeled", "images")  # where a wrapper, or a dataset of images without labels, names another
SPLITS = ("train", "val", "test")
FOLDERS = "CustomDataset"  # of mmpretrain, which takes the names of folders
REMOTE = re.compile(r"[\w.+-]{2,}:")  # https://, s3://; one letter is a Windows drive


def config_names(cfg: Config, model: Any) -> list[str] | None:
    """The class names of the data of a config; None where they are not known, or are not those of its model.

    Args:
        cfg (Config): With dataloaders.
        model (Any): The config of the model that learns from them, whose ``num_classes`` says whether they fit.

    Returns:
        list[str] | None: By number.
    """
    counts = set(_numbers_of_classes(model))
    for split in SPLITS:
        loader = cfg.get(f"{split}_dataloader")
        for dataset in _datasets(loader.get("dataset")) if isinstance(loader, dict) else ():
            names = _names(_said_of_classes(dataset, cfg.get("default_scope")))
            if names is not None:
                return names if not counts or len(names) in counts else None
    return None


def meta_names(meta: Mapping[str, Any]) -> list[str] | None:
    """The class names that a checkpoint says it was trained on: ``dataset_meta``, or ``CLASSES`` of older files."""
    found = meta.get("dataset_meta")
    found = found if isinstance(found, Mapping) else {}
    return _listed(found.get("classes", found.get("CLASSES", meta.get("CLASSES"))))


def _said_of_classes(dataset: Mapping[str, Any], scope: str | None) -> Any:
    """Of a dataset's config, else of its class."""
    metainfo = dataset.get("metainfo")
    given = (metainfo if isinstance(metainfo, Mapping) else {}).get("classes", dataset.get("classes"))
    if given is not None:
        return given
    try:
        kind = find_type(dataset.get("type"), dataset.get("_scope_", scope), "dataset.type", "dataset")
    except MMDistError:  # which building it answers
        return None
    known = (getattr(kind, "METAINFO", None) or {}).get("classes")
    if known is None and any(base.__name__ == FOLDERS for base in getattr(kind, "__mro__", ())):
        return _folders(dataset)
    return known


def _folders(dataset: Mapping[str, Any]) -> list[str] | None:
    """The folders of images, which are the classes of mmpretrain's data without annotations."""
    prefix = dataset.get("data_prefix") or ""
    prefix = prefix.get("img_path", "") if isinstance(prefix, Mapping) else prefix
    root = Path(dataset.get("data_root") or "", prefix).expanduser()
    if dataset.get("ann_file"):
        return None
    try:
        return sorted(entry.name for entry in root.iterdir() if entry.is_dir())
    except OSError:  # which the check of the data answers
        return None


def _names(given: Any) -> list[str] | None:
    """Names that a config gives: a list, or the path of a file with one in each line."""
    if not isinstance(given, str) or REMOTE.match(given):
        return _listed(given)
    try:
        return _listed(Path(given).expanduser().read_text(encoding="utf-8").splitlines())
    except (OSError, ValueError):  # which building the data answers
        return None


def _listed(given: Any) -> list[str] | None:
    """Names as a list. A checkpoint's are no path: nothing that it names is opened."""
    whole = isinstance(given, list | tuple) and len(given) > 0 and all(isinstance(name, str) for name in given)
    return list(given) if whole else None


def _datasets(dataset: Any) -> Iterator[Mapping[str, Any]]:
    """The datasets inside wrappers, which hand on what the first of them says."""
    if not isinstance(dataset, dict):
        return
    one = next((dataset[name] for name in INSIDE if isinstance(dataset.get(name), dict)), None)
    inner = dataset.get("datasets") if one is None else [one]
    if isinstance(inner, list | tuple):
        for part in inner:
            yield from _datasets(part)
    else:
        yield dataset


def _numbers_of_classes(node: Any) -> Iterator[int]:
    if isinstance(node, str):
        return
    parts = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list | tuple) else ()
    for name, value in parts:
        if name == "num_classes" and isinstance(value, int):
            yield value
        else:
            yield from _numbers_of_classes(value)
