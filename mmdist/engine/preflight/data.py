"""Data: the folders and annotation files that the datasets will read."""

from __future__ import annotations

import inspect
import os.path as osp
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.dataset import BaseDataset
from mmengine.registry import DATASETS

from mmdist.errors import MMDistError

LIBRARIES = ("mmengine", "mmdet", "mmseg", "mmpretrain", "mmdist")
HOW = "make the data, or name the place where it is: --cfg-options"


def check_data(cfg: Config, splits: tuple[str, ...]) -> None:
    """The data of the splits is where the config says.

    Only local files of the task libraries' own datasets are looked at: nobody can know what another dataset reads.

    Args:
        cfg (Config): The whole config.
        splits (tuple[str, ...]): Of ``train``, ``val``, ``test``.

    Raises:
        MMDistError: Names every path that does not exist, once, with its keys and how to change them.
    """
    missing: dict[str, list[str]] = {}
    for split in splits:
        loader = cfg.get(f"{split}_dataloader")
        if isinstance(loader, dict) and isinstance(loader.get("dataset"), dict):
            for dataset, key in _leaves(loader["dataset"], f"{split}_dataloader.dataset"):
                for path, place in _missing_paths(dataset, cfg.get("default_scope"), key):
                    missing.setdefault(path, []).append(place)
    if missing:
        lines = [f"{' and '.join(keys)}: {path!r} does not exist" for path, keys in missing.items()]
        options = " ".join(f"{key}=..." for key in next(iter(missing.values())))
        raise MMDistError(f"data not found: {'; '.join(lines)}; {HOW} {options}")


def _leaves(dataset: dict, key: str) -> Iterator[tuple[dict, str]]:
    """The datasets inside wrappers."""
    if "labeled" in dataset and "unlabeled" in dataset:
        for part in ("labeled", "unlabeled"):
            inner = dataset[part]
            inner = dict(images=inner) if isinstance(inner, str) else inner
            if isinstance(inner, dict):
                kind = dict(type="mmdist.UnlabeledDataset") if part == "unlabeled" else {}
                yield from _leaves({**kind, **inner}, f"{key}.{part}")
    elif isinstance(dataset.get("images"), dict):
        yield from _leaves(dataset["images"], f"{key}.images")
    elif isinstance(dataset.get("dataset"), dict):
        yield from _leaves(dataset["dataset"], f"{key}.dataset")
    elif isinstance(dataset.get("datasets"), list | tuple):
        for index, inner in enumerate(dataset["datasets"]):
            if isinstance(inner, dict):
                yield from _leaves(inner, f"{key}.datasets.{index}")
    else:
        yield dataset, key


def _missing_paths(dataset: dict, scope: str | None, key: str) -> Iterator[tuple[str, str]]:
    kind = _known_class(dataset, scope)
    if kind is None or _is_remote(dataset):
        return
    root = dataset.get("data_root") or ""
    if not isinstance(root, str) or (root and not _is_local(root)):
        return
    named = [("ann_file", dataset.get("ann_file")), ("images", dataset.get("images"))]
    prefix = dataset.get("data_prefix")
    if isinstance(prefix, str):
        named.append(("data_prefix", prefix))
    elif isinstance(prefix, dict):
        named += [(f"data_prefix.{name}", value) for name, value in prefix.items() if _is_used(name, dataset)]
    wanted = [(name, osp.join(root, value)) for name, value in named if isinstance(value, str) and value]
    gone = [(path, name) for name, path in wanted if _is_local(path) and not Path(path).expanduser().exists()]
    if root and not Path(root).expanduser().exists() and (gone or not wanted):
        yield root, f"{key}.data_root"  # says it all
        return
    for path, name in gone:
        yield path, f"{key}.{name}"


def _known_class(dataset: dict, scope: str | None) -> type | None:
    """The dataset's class, when it is one whose use of its paths is known."""
    kind = dataset.get("type")
    if isinstance(kind, str):
        try:
            with DATASETS.switch_scope_and_registry(dataset.get("_scope_", scope)) as node:
                kind = node.get(kind)
        except (RuntimeError, ImportError):
            return None
    if not (isinstance(kind, type) and issubclass(kind, BaseDataset)):
        return None
    for name in ("load_data_list", "_join_prefix", "full_init"):
        if getattr(kind, name).__module__.partition(".")[0] not in LIBRARIES:
            return None
    if kind._join_prefix is not BaseDataset._join_prefix or kind.__name__ in _downloading(kind):
        return None
    return kind


def _downloading(kind: type) -> set[str]:
    """Classes in the ancestry that fetch their data themselves."""
    return {kind.__name__ for base in kind.__mro__ if "download" in inspect.signature(base.__init__).parameters}


def _is_used(prefix: str, dataset: dict) -> bool:
    """Images always are; label maps where the pipeline loads them; of other prefixes nobody knows."""
    steps = _steps(dataset)
    if prefix == "seg_map_path":  # MMSegmentation
        return any("LoadAnnotations" in str(step.get("type")) for step in steps)
    if prefix == "seg":  # MMDetection
        return any(step.get("with_seg") or "LoadPanoptic" in str(step.get("type")) for step in steps)
    return prefix in ("img", "img_path", "sub_data_root")


def _steps(dataset: dict) -> list[dict]:
    pipeline = dataset.get("pipeline")
    return [step for step in pipeline if isinstance(step, dict)] if isinstance(pipeline, list | tuple) else []


def _is_remote(dataset: dict) -> bool:
    """Files come through a storage backend, or out of an archive."""
    for part in [dataset, *_steps(dataset)]:
        backend: Any = part.get("backend_args") or part.get("file_client_args")
        if backend and backend.get("backend", "local") not in ("local", "disk"):
            return True
    return False


def _is_local(path: str) -> bool:
    return "://" not in path and ":s3:" not in path and ".zip@" not in path
