"""Config files of the task libraries, made small: their own heads, with an eighth of the channels."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mmengine.config import Config

SCALE, LEAST = 8, 64
GROUPS = 4
SIDE = 128  # pixels, of segmenters with a position for each patch
WIDTH = 768
FEW = dict(nms_pre=50, max_per_img=50, num=32)  # regions


def shrunk(node: Any, classes: int | None = 3, name: str = "") -> Any:
    """A model's config with narrow layers and few classes.

    Args:
        node (Any): The config, or a part of it.
        classes (int, optional): How many are told apart; None: as many as in the config.
        name (str): The key of the part.
    """
    if isinstance(node, dict):
        found = {key: shrunk(value, classes, key) for key, value in node.items()}
        kind = str(found.get("type", ""))
        if ("ResNet" in kind or "ResNeXt" in kind) and "Neck" not in kind:
            found.update(base_channels=64 // SCALE, stem_channels=64 // SCALE, init_cfg=None)
        if "pretrained" in found:
            found["pretrained"] = None
        if kind == "SyncBN":
            found["type"] = "BN"
        if "num_groups" in found:  # with a channel a group, a map of one position has nothing to be normalised by
            found["num_groups"] = min(found["num_groups"], GROUPS)
        return found
    if isinstance(node, list | tuple):
        return type(node)(shrunk(part, classes, name) for part in node)
    if name == "num_classes":
        return node if classes is None else classes
    if name in FEW and isinstance(node, int):
        return min(node, FEW[name])
    width = "channels" in name and isinstance(node, int) and node >= LEAST
    return node // SCALE if width else node


SMALLEST = {  # of transformers: the arch, and the channels that a head is then given
    "VisionTransformer": ("deit-tiny", 192),
    "BEiTViT": ("deit-tiny", 192),
    "RevVisionTransformer": ("deit-tiny", 384),
    "MixMIMTransformer": (dict(embed_dims=32, depths=[1, 1, 1, 1], num_heads=[1, 2, 4, 8]), 256),
    "MlpMixer": ("small", 512),
}


def smallest(model: dict[str, Any], classes: int | None) -> dict[str, Any]:
    """A model made small: narrow where its backbone is told its width, its smallest form where it is told a name.

    Args:
        model (dict): Its config.
        classes (int, optional): How many are told apart; None: as many as in the config.
    """
    backbone = model.get("backbone") or {}
    kind = str(backbone.get("type", "")).rpartition(".")[2]
    made = _plain(model, classes)
    if "decode_head" in made and "img_size" in made.get("backbone", {}):  # of which a probe's images are
        made["backbone"]["img_size"] = SIDE
        made["data_preprocessor"]["size"] = (SIDE, SIDE)
        made = _narrow(made)
    # Some give a width a second time, under another name.
    twice = any(word in str(model) for word in ("embed_dims", "num_deconv", "rfp_backbone"))
    if ("ResNet" in kind or "ResNeXt" in kind) and not twice:
        return shrunk(made, classes)
    head = made.get("head")
    if kind in SMALLEST and isinstance(head, dict) and isinstance(backbone.get("arch"), str):
        made["backbone"]["arch"], head["in_channels"] = SMALLEST[kind]
    return made


def _narrow(node: Any) -> Any:
    """A vision transformer of the usual width, its neck and its heads, an eighth as wide."""
    if isinstance(node, dict):
        return {key: _narrow(value) for key, value in node.items()}
    if isinstance(node, list | tuple):
        return type(node)(map(_narrow, node))
    return WIDTH // SCALE if type(node) is int and node == WIDTH else node


def _plain(node: Any, classes: int | None, name: str = "") -> Any:
    """The same model without weights to load and without norms over processes."""
    if isinstance(node, dict):
        # CrowdDet's augmentation makes a batch large again
        found = {key: _plain(value, classes, key) for key, value in node.items() if key != "batch_augments"}
        if found.get("type") == "SyncBN":
            found["type"] = "BN"
        return found
    if isinstance(node, list | tuple):
        return type(node)(_plain(part, classes, name) for part in node)
    if name in FEW and isinstance(node, int):
        return min(node, FEW[name])
    return classes if name == "num_classes" and classes is not None else node


def write_shrunk(
    folder: Path, source: str, file: str, classes: int | None = 3, *, smallest_form: bool = False, **changes: Any
) -> Path:
    """A small plain config, by the side of nothing else.

    Args:
        folder (Path): Where.
        source (str): ``package::path`` of the library's config.
        file (str): Name of the file, without its ending.
        classes (int, optional): How many the model tells apart; None: as many as in the config.
        smallest_form (bool): Narrow only the backbones that are told their width, see :func:`smallest`.
        **changes (Any): Parts of the model that are put in its place.
    """
    cfg = Config.fromstring(f"_base_ = {source!r}", ".py").to_dict()
    make = smallest if smallest_form else shrunk
    model = {**make(cfg["model"], classes), **changes}
    if "data_preprocessor" in cfg:
        model.setdefault("data_preprocessor", cfg["data_preprocessor"])
    optimizer = dict(type="OptimWrapper", optimizer=dict(type="SGD", lr=0.01))
    scope = cfg.get("default_scope") or source.partition("::")[0]
    plain = dict(default_scope=scope, model=model, optim_wrapper=optimizer)
    if "custom_imports" in cfg:
        plain["custom_imports"] = cfg["custom_imports"]
    path = folder / f"{file}.py"
    path.write_text("".join(f"{key} = {value!r}\n" for key, value in plain.items()))
    return path
