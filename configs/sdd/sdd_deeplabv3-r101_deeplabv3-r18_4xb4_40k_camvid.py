# SDD: DeepLabV3-R101 teaches DeepLabV3-R18.
_base_ = [
    "../_base_/pairs/camvid/deeplabv3-r101_deeplabv3-r18.py",
    "../_base_/recipes/camvid_4xb4_40k.py",
    "../_base_/distillers/sdd_conv_seg.py",
]
_base_.distiller.distill_losses.loss_sdd.base.ignore_index = 11
model = dict(distiller=_base_.distiller)
