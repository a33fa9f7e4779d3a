# RDD and DIST: DeepLabV3-R101 teaches DeepLabV3-MobileNetV2.
_base_ = [
    "../_base_/pairs/cityscapes/deeplabv3-r101_deeplabv3-mbv2.py",
    "../_base_/recipes/cityscapes_4xb4_40k.py",
    "../_base_/distillers/dist_conv_seg.py",
    "../_base_/weightings/rdd_cityscapes.py",
]
model = dict(distiller=_base_.distiller, weighting=_base_.weighting)
