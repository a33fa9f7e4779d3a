"""Config files of the task libraries, made small: their own heads, with an eighth of the channels."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mmengine.config import Config

SCALE, LEAST = 8, 64
FEW = dict(nms_pre=50, max_per_img=50, num=32)  # regions


def shrunk(node: Any, classes: int = 3, name: str = "") -> Any:
    """A model's config with narrow layers and few classes.

    Args:
        node (Any): The config, or a part of it.
        classes (int): How many are told apart.
        name (str): The key of the part.
    """
    if isinstance(node, dict):
        found = {key: shrunk(value, classes, key) for key, value in node.items()}
        kind = str(found.get("type", ""))
        if "ResNet" in kind or "ResNeXt" in kind:
            found.update(base_channels=64 // SCALE, stem_channels=64 // SCALE, init_cfg=None)
        if "pretrained" in found:
            found["pretrained"] = None
        if kind == "SyncBN":
            found["type"] = "BN"
        return found
    if isinstance(node, list | tuple):
        return type(node)(shrunk(part, classes, name) for part in node)
    if name == "num_classes":
        return classes
    if name in FEW and isinstance(node, int):
        return min(node, FEW[name])
    width = "channels" in name and isinstance(node, int) and node >= LEAST
    return node // SCALE if width else node


def write_shrunk(folder: Path, source: str, file: str, classes: int = 3, **changes: Any) -> Path:
    """A small plain config, by the side of nothing else.

    Args:
        folder (Path): Where.
        source (str): ``package::path`` of the library's config.
        file (str): Name of the file, without its ending.
        classes (int): How many the model tells apart.
        **changes (Any): Parts of the model that are put in its place.
    """
    cfg = Config.fromstring(f"_base_ = {source!r}", ".py").to_dict()
    model = {**shrunk(cfg["model"], classes), **changes}
    if "data_preprocessor" in cfg:
        model.setdefault("data_preprocessor", cfg["data_preprocessor"])
    optimizer = dict(type="OptimWrapper", optimizer=dict(type="SGD", lr=0.01))
    plain = dict(default_scope=cfg["default_scope"], model=model, optim_wrapper=optimizer)
    path = folder / f"{file}.py"
    path.write_text("".join(f"{key} = {value!r}\n" for key, value in plain.items()))
    return path
