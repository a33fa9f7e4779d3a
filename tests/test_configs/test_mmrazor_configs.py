"""MMRazor's own distillation configs build and train under ``mmdist.SingleTeacherDistill``."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch
from mmengine.config import Config, ConfigDict
from mmengine.model import BaseModel
from mmengine.optim import build_optim_wrapper
from mmengine.registry import MODELS, DefaultScope
from mmengine.runner.checkpoint import CheckpointLoader

ROOT = Path(find_spec("mmrazor").submodule_search_locations[0]) / ".mim" / "configs" / "distill"
# names files of mmdet that have had other names since its 3.0: no class can build it
BROKEN = "mmdet/cwd/cwd_fpn_frcnn_r101_frcnn_r50_1x_coco.py"
FOUND = sorted(str(path.relative_to(ROOT)) for task in ("mmdet", "mmseg") for path in ROOT.glob(f"{task}/**/*.py"))
CONFIGS = [name for name in FOUND if name != BROKEN]
SIDE = 128


def model_config(name: str) -> tuple[ConfigDict, str]:
    """The model of a config with the prefix and nothing to download, and the scope of the config."""
    cfg = Config.fromfile(ROOT / name)
    model = cfg.model
    model.update(type="mmdist.SingleTeacherDistill", teacher_ckpt=None, random_teacher=True)
    for side in (model.teacher, model.architecture):
        if "cfg_path" in side:
            side.pretrained = False
    return model, cfg.default_scope


def detection_batch(size: int = 2) -> dict[str, Any]:
    from mmdet.structures import DetDataSample
    from mmengine.structures import InstanceData

    samples = []
    for _ in range(size):
        meta = dict(img_shape=(SIDE, SIDE), ori_shape=(SIDE, SIDE), scale_factor=(1.0, 1.0))
        sample = DetDataSample(metainfo=meta)
        boxes = torch.tensor([[4.0, 4.0, 60.0, 60.0], [40.0, 48.0, 120.0, 116.0]])
        sample.gt_instances = InstanceData(bboxes=boxes, labels=torch.tensor([1, 4]))
        samples.append(sample)
    return dict(inputs=pictures(size), data_samples=samples)


def segmentation_batch(size: int = 2) -> dict[str, Any]:
    from mmengine.structures import PixelData
    from mmseg.structures import SegDataSample

    samples = []
    for _ in range(size):
        sample = SegDataSample(metainfo=dict(img_shape=(SIDE, SIDE), ori_shape=(SIDE, SIDE)))
        sample.gt_sem_seg = PixelData(data=torch.randint(0, 19, (1, SIDE, SIDE)))
        samples.append(sample)
    return dict(inputs=pictures(size), data_samples=samples)


def pictures(size: int) -> list[torch.Tensor]:
    return [torch.randint(0, 256, (3, SIDE, SIDE), dtype=torch.uint8) for _ in range(size)]


def train_two_iterations(name: str) -> tuple[BaseModel, list[dict[str, torch.Tensor]]]:
    """Build a config's model and train it; its losses."""
    cfg, scope = model_config(name)
    with DefaultScope.overwrite_default_scope(scope):
        model = MODELS.build(cfg)
        if scope == "mmseg":  # it would pad to the size of Cityscapes' crops
            model.data_preprocessor.size = (SIDE, SIDE)
        wrapper = build_optim_wrapper(model, dict(optimizer=dict(type="SGD", lr=1e-4)))
        model.train()
        batch = segmentation_batch if scope == "mmseg" else detection_batch
        return model, [model.train_step(batch(), wrapper) for _ in range(2)]


@pytest.mark.slow
@pytest.mark.parametrize("name", CONFIGS)
def test_a_config_of_mmrazor_trains_two_iterations(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(CheckpointLoader, "load_checkpoint", lambda *args, **kwargs: pytest.fail("downloads weights"))
    model, losses = train_two_iterations(name)
    for found in losses:
        distilled = {key: value for key, value in found.items() if key.startswith("distill.")}
        assert len(distilled) == len(model.distiller.distill_losses)
        assert all(value.isfinite() for value in distilled.values())
        assert sum(value > 0 for value in distilled.values()) >= len(distilled) - 1  # CWD of a 1x1 level is 0
        assert found["loss"].isfinite()
    assert not [key for key in model.state_dict() if key.startswith("teacher")]


def test_the_configs_are_where_they_are_looked_for() -> None:
    assert len(CONFIGS) == 11
    with pytest.raises(FileNotFoundError, match=r"faster_rcnn_r50_fpn_1x_coco\.py"):
        train_two_iterations(BROKEN)
