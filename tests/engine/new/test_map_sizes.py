"""Class maps of different sizes: what `mmdist new` writes trains on crops that it has not seen."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers.shrunk_configs import write_shrunk
from helpers.tiny_pairs import model_config, write_config
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from mmengine.registry import MODELS, DefaultScope

from mmdist.engine.modules.samples import segmentation
from mmdist.engine.new import new_config
from mmdist.engine.new.second_size import second_size

SEGFORMER = "mmseg::segformer/segformer_mit-b0_8xb1-160k_cityscapes-1024x1024.py"
DEEPLAB = "mmseg::deeplabv3/deeplabv3_r18-d8_4xb2-80k_cityscapes-769x769.py"
ANY_SIZE = dict(type="SegDataPreProcessor", mean=[127.5] * 3, std=[60.0] * 3, size=None, size_divisor=1)
MIT = dict(
    type="MixVisionTransformer",
    embed_dims=8,
    num_stages=4,
    num_layers=[1, 1, 1, 1],
    num_heads=[1, 1, 2, 2],
    patch_sizes=[7, 3, 3, 3],
    sr_ratios=[8, 4, 2, 1],
    out_indices=(0, 1, 2, 3),
    mlp_ratio=2,
)


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A shrunk SegFormer, and a shrunk DeepLabV3 whose config is for crops of 769."""
    folder = tmp_path_factory.mktemp("pair")
    norm = dict(type="BN", requires_grad=True)
    head = dict(type="SegformerHead", in_channels=[8, 8, 16, 16], in_index=[0, 1, 2, 3], channels=8, num_classes=3)
    head.update(dropout_ratio=0.1, norm_cfg=norm, align_corners=False)
    student = write_shrunk(folder, SEGFORMER, "s", backbone=MIT, decode_head=head, data_preprocessor=ANY_SIZE)
    return student, write_shrunk(folder, DEEPLAB, "t", data_preprocessor=dict(ANY_SIZE))


def images(model: Any, height: int, width: int) -> dict[str, Any]:
    inputs = [torch.randint(0, 256, (3, height, width), dtype=torch.uint8) for _ in range(2)]
    return dict(inputs=inputs, data_samples=segmentation(model.student, 2, (height, width)))


def trained(path: Path, sizes: list[tuple[int, int]]) -> list[tuple[tuple[int, ...], dict[str, float]]]:
    """A few iterations of a written config; of each the size of the teacher's map for the loss, and what is logged."""
    cfg = Config.fromfile(path)
    cfg.model.random_teacher = True
    found: list[tuple[tuple[int, ...], dict[str, float]]] = []
    with DefaultScope.overwrite_default_scope("mmseg"):
        model = MODELS.build(cfg.model)
        wrapper = build_optim_wrapper(model, cfg.optim_wrapper)
    maps: list[tuple[int, ...]] = []
    model.distiller.connectors["resize"].register_forward_hook(lambda m, args, out: maps.append(tuple(out.shape[2:])))
    model.train()
    for size in sizes:
        logged = model.train_step(images(model, *size), wrapper)
        found.append((maps[-1], {name: float(value) for name, value in logged.items()}))
    return found


def test_segformer_under_deeplab_trains_on_sizes_that_change(pair: tuple[Path, Path], tmp_path: Path) -> None:
    out = tmp_path / "out.py"
    written = new_config(str(pair[0]), str(pair[1]), "dist", str(out), size=(97, 97))
    distiller = Config.fromfile(out).model.distiller
    # the teacher's own head resizes its scores with align_corners
    assert distiller.connectors == dict(resize=dict(type="mmdist.ResizeConnector", align_corners=True))
    assert distiller.loss_forward_mappings.loss_dist.logits_T.connector == "resize"
    assert any("13x13 to 25x25" in note for note in written.notes)
    sizes = [(97, 97), (65, 90), (128, 77), (64, 64), (101, 67)]
    for size, (maps, logged) in zip(sizes, trained(out, sizes), strict=True):
        assert maps == tuple(math.ceil(number / 4) for number in size)
        assert math.isfinite(logged["distill.loss_dist"]) and logged["distill.loss_dist"] > 0


def segmentor(folder: Path, file: str, size: tuple[int, int] | None, **backbone: Any) -> Path:
    model = model_config("segmentor")
    del model["auxiliary_head"]
    model["data_preprocessor"].update(size=size, **({} if size else dict(size_divisor=1)))
    model["backbone"].update(backbone)
    return write_config(folder, "segmentor", file, model=model)


PATCHES = dict(  # maps are rounded down, as ConvNeXt's are; a ResNet's are rounded up
    type="mmpretrain.ConvNeXt",
    arch=dict(depths=[1, 1, 1, 1], channels=[8, 8, 8, 32]),
    out_indices=(0, 1, 2, 3),
    gap_before_final_norm=False,
)


@pytest.mark.parametrize("training", [(161, 161), None], ids=["crops-of-161", "any-size"])
def test_maps_that_are_equal_in_the_check_alone_are_resized_too(
    training: tuple[int, int] | None, tmp_path: Path
) -> None:
    model = model_config("segmentor")
    model.update(backbone=PATCHES)
    del model["auxiliary_head"]
    model["data_preprocessor"].update(size=training, **({} if training else dict(size_divisor=1)))
    student = write_config(tmp_path, "segmentor", "student", model=model)
    teacher = segmentor(tmp_path, "teacher", training, strides=(1, 2, 2, 2))
    out = tmp_path / "out.py"
    new_config(str(student), str(teacher), "kd", str(out), size=(128, 128))
    assert Config.fromfile(out).model.distiller.connectors.resize.type == "mmdist.ResizeConnector"
    ((maps, logged),) = trained(out, [training or (81, 97)])
    assert maps == tuple(math.ceil(number / 32) for number in training or (81, 97))
    assert math.isfinite(logged["distill.loss_kd"])


def test_maps_that_are_equal_in_every_batch_are_left_as_they_are(tmp_path: Path) -> None:
    student = segmentor(tmp_path, "student", (512, 512))
    out = tmp_path / "out.py"
    new_config(str(student), str(segmentor(tmp_path, "teacher", (512, 512))), "kd", str(out), size=(64, 64))
    assert "connectors" not in Config.fromfile(out).model.distiller


def test_a_second_size_leaves_over_strides_what_the_training_does() -> None:
    assert second_size((769, 512), (128, 128), None) == (129, 128)
    assert second_size((512, 512), (64, 64), None) == (128, 128)
    assert second_size((512, 512), (128, 128), 32) == (160, 160)
