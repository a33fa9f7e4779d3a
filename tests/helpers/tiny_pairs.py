"""Config files of tiny models of every task library, each in two widths, for students and teachers."""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path
from typing import Any

from mmengine.config import Config

from .tiny_students import CLASSIFIER, SEGMENTOR

SGD = dict(type="OptimWrapper", optimizer=dict(type="SGD", lr=0.01, momentum=0.9))
BACKBONE = dict(depth=18, stem_channels=4, frozen_stages=-1, init_cfg=None)
SCOPES = dict(classifier="mmpretrain", segmentor="mmseg", retina="mmdet", gfl="mmdet", faster="mmdet")
BASES = dict(
    retina="_base_/models/retinanet_r50_fpn.py",
    gfl="gfl/gfl_r50_fpn_1x_coco.py",
    faster="_base_/models/faster-rcnn_r50_fpn.py",
)
SIZES = dict(classifier=(32, 32), segmentor=(48, 48), retina=(64, 64), gfl=(64, 64), faster=(64, 64))


def model_config(name: str, width: int = 4, classes: int = 3) -> dict[str, Any]:
    """The model of a tiny config.

    Args:
        name (str): One of ``SCOPES``.
        width (int): Channels of the backbone's first stage.
        classes (int): How many it tells apart.
    """
    if name == "classifier":
        model = deepcopy(CLASSIFIER)
        model["backbone"].update(base_channels=width, stem_channels=width)
        model["head"].update(in_channels=8 * width, num_classes=classes)
        return model
    if name == "segmentor":
        model = deepcopy(SEGMENTOR)
        model["backbone"].update(base_channels=width)
        model["decode_head"].update(in_channels=8 * width, num_classes=classes)
        auxiliary = dict(model["decode_head"], in_channels=4 * width, in_index=2)
        return {**model, "auxiliary_head": auxiliary, "train_cfg": dict()}
    cfg = Config.fromstring(f"_base_ = 'mmdet::{BASES[name]}'", ".py").to_dict()["model"]
    cfg["backbone"].update(BACKBONE, base_channels=width)
    cfg["neck"].update(in_channels=[width * 2**stage for stage in range(4)], out_channels=8)
    if name == "faster":
        cfg["rpn_head"].update(in_channels=8, feat_channels=8)
        cfg["roi_head"]["bbox_roi_extractor"].update(out_channels=8)
        cfg["roi_head"]["bbox_head"].update(in_channels=8, fc_out_channels=16, num_classes=classes)
    else:
        cfg["bbox_head"].update(in_channels=8, feat_channels=8, stacked_convs=1, num_classes=classes)
        if name == "gfl":
            cfg["bbox_head"]["norm_cfg"] = dict(type="GN", num_groups=4)
    return cfg


def write_config(folder: Path, name: str, file: str, **changes: Any) -> Path:
    """A plain config as a user has it.

    Args:
        folder (Path): Where.
        name (str): One of ``SCOPES``.
        file (str): Name of the file, without its ending.
        **changes (Any): ``width`` and ``classes`` of the model, ``model`` instead of it, and other keys of the config.
    """
    chosen = {key: changes.pop(key) for key in ("width", "classes") if key in changes}
    model = changes.pop("model", None) or model_config(name, **chosen)
    cfg = dict(default_scope=SCOPES[name], model=model, optim_wrapper=SGD, train_cfg=dict(by_epoch=True, max_epochs=2))
    path = folder / f"{file}.py"
    path.write_text("".join(f"{key} = {value!r}\n" for key, value in {**cfg, **changes}.items()))
    return path
