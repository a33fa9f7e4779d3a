"""Tiny classifiers of backbones that take images of one size, and of some that take any."""

from __future__ import annotations

from typing import Any

VIT = dict(embed_dims=16, num_layers=2, num_heads=2, feedforward_channels=32)
# by name: the backbone, its channels, and height and width of its images
FIXED: dict[str, tuple[dict[str, Any], int, tuple[int, int]]] = {
    "TinyViT": (
        dict(
            type="TinyViT",
            arch=dict(channels=[8, 8, 16, 16], num_heads=[1, 1, 2, 2], depths=[1, 1, 1, 1]),
            img_size=(64, 64),
            window_size=[2, 2, 4, 2],
        ),
        16,
        (64, 64),
    ),
    "MlpMixer": (
        dict(
            type="MlpMixer",
            arch=dict(embed_dims=16, num_layers=2, tokens_mlp_dims=8, channels_mlp_dims=32),
            img_size=48,
            patch_size=16,
        ),
        16,
        (48, 48),
    ),
    "BEiT": (dict(type="BEiTViT", arch=VIT, img_size=40, patch_size=8, out_type="avg_featmap"), 16, (40, 40)),
    "TNT": (
        dict(
            type="TNT",
            arch=dict(embed_dims_outer=16, embed_dims_inner=8, num_layers=2, num_heads_outer=2, num_heads_inner=2),
            img_size=64,
        ),
        16,
        (64, 64),
    ),
    "LeViT": (dict(type="LeViT", arch="128s"), 384, (224, 224)),  # its constructor takes no smaller one
    "RepMLP": (
        dict(
            type="RepMLPNet",
            arch=dict(channels=[8, 8, 8, 8], depths=[1, 1, 1, 1], sharesets_nums=[1, 1, 1, 1]),
            img_size=64,
            reparam_conv_kernels=(1,),
        ),
        8,
        (64, 64),
    ),
}
ANY: dict[str, tuple[dict[str, Any], int]] = {
    "ViT": (dict(type="VisionTransformer", arch=VIT, img_size=64, patch_size=8), 16),
    "DeiT3": (
        dict(type="DeiT3", arch=VIT, img_size=64, patch_size=8),
        16,
    ),
    "Swin2": (
        dict(
            type="SwinTransformerV2",
            arch=dict(embed_dims=4, depths=[1] * 4, num_heads=[1, 1, 2, 2], extra_norm_every_n_blocks=0),
            img_size=64,
            window_size=4,
            pad_small_map=True,
        ),
        32,
    ),
    "Conformer": (
        dict(
            type="Conformer",
            arch=dict(embed_dims=16, channel_ratio=1, num_heads=2, depths=6),
            base_channels=4,
        ),
        16,
    ),
}


def fixed(name: str, classes: int = 3) -> tuple[dict[str, Any], tuple[int, int]]:
    """A classifier's config and the size that it takes."""
    backbone, channels, size = FIXED[name]
    return _classifier(backbone, channels, classes), size


def flexible(name: str, classes: int = 3) -> dict[str, Any]:
    """A classifier's config that takes images of any size."""
    return _classifier(*ANY[name], classes)


def _classifier(backbone: dict[str, Any], channels: int, classes: int) -> dict[str, Any]:
    maps = backbone["type"] in ("TinyViT", "MlpMixer", "LeViT", "RepMLPNet", "SwinTransformerV2")
    dim = 1 if backbone["type"] == "MlpMixer" else 2
    pooled = backbone["type"] == "TinyViT"  # by itself
    head = dict(type="LinearClsHead", in_channels=channels, num_classes=classes, loss=dict(type="CrossEntropyLoss"))
    if backbone["type"] == "Conformer":
        head = dict(type="ConformerHead", in_channels=[16, 16], num_classes=classes)
    return dict(
        type="ImageClassifier",
        backbone={key: dict(value) if isinstance(value, dict) else value for key, value in backbone.items()},
        neck=dict(type="GlobalAveragePooling", dim=dim) if maps and not pooled else None,
        head=head,
        data_preprocessor=dict(type="ClsDataPreprocessor", mean=[127.5] * 3, std=[60.0] * 3),
    )
