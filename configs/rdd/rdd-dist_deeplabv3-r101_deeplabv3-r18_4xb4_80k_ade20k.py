# RDD and DIST: DeepLabV3-R101 teaches DeepLabV3-R18.
_base_ = [
    "../_base_/pairs/ade20k/deeplabv3-r101_deeplabv3-r18.py",
    "../_base_/recipes/ade20k_4xb4_80k.py",
    "../_base_/distillers/dist_conv_seg_aux.py",
    "../_base_/weightings/rdd.py",
]
model = dict(distiller=_base_.distiller, weighting=_base_.weighting)
