# DIST+: DeepLabV3-R101 teaches DeepLabV3-MobileNetV2.
_base_ = [
    "../_base_/pairs/cityscapes/deeplabv3-r101_deeplabv3-mbv2.py",
    "../_base_/recipes/cityscapes_8xb2_40k.py",
    "../_base_/distillers/distplus_conv_seg.py",
]
model = dict(distiller=_base_.distiller, acclimated=["decode_head.bottleneck.conv", "decode_head.conv_seg"])
optim_wrapper = _base_.teachers_rate
val_cfg = _base_.with_teacher
