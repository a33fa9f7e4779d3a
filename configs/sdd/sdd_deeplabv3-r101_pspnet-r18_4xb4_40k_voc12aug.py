# SDD: DeepLabV3-R101 teaches PSPNet-R18.
_base_ = [
    "../_base_/pairs/voc12aug/deeplabv3-r101_pspnet-r18.py",
    "../_base_/recipes/voc12aug_4xb4_40k.py",
    "../_base_/distillers/sdd_conv_seg.py",
]
model = dict(distiller=_base_.distiller)
