# DIST+: DeepLabV3-R101 teaches PSPNet-R18.
_base_ = [
    "../_base_/pairs/voc12aug/deeplabv3-r101_pspnet-r18.py",
    "../_base_/recipes/voc12aug_4xb4_40k.py",
    "../_base_/distillers/distplus_conv_seg_aux.py",
]
model = dict(distiller=_base_.distiller, acclimated=["decode_head.bottleneck.conv", "decode_head.conv_seg"])
optim_wrapper = _base_.teachers_rate
val_cfg = _base_.with_teacher
