# SDD: DeepLabV3-R101 teaches DeepLabV3-MobileNetV2.
_base_ = [
    "../_base_/pairs/cityscapes/deeplabv3-r101_deeplabv3-mbv2.py",
    "../_base_/recipes/cityscapes_8xb2_40k.py",
    "../_base_/distillers/sdd_conv_seg.py",
]
model = dict(distiller=_base_.distiller)
