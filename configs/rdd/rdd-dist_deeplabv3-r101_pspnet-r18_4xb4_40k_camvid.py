# RDD and DIST: DeepLabV3-R101 teaches PSPNet-R18.
_base_ = [
    "../_base_/pairs/camvid/deeplabv3-r101_pspnet-r18.py",
    "../_base_/recipes/camvid_4xb4_40k.py",
    "../_base_/distillers/dist_conv_seg_aux.py",
    "../_base_/weightings/rdd.py",
]
model = dict(distiller=_base_.distiller, weighting=_base_.weighting)
