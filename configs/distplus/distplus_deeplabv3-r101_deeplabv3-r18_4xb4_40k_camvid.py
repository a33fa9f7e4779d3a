# DIST+: DeepLabV3-R101 teaches DeepLabV3-R18.
_base_ = [
    "../_base_/pairs/camvid/deeplabv3-r101_deeplabv3-r18.py",
    "../_base_/recipes/camvid_4xb4_40k.py",
    "../_base_/distillers/distplus_conv_seg_aux.py",
]
_base_.distiller.distill_losses.loss_teacher.ignore_index = 11
model = dict(distiller=_base_.distiller, acclimated=["decode_head.bottleneck.conv", "decode_head.conv_seg"])
optim_wrapper = _base_.teachers_rate
val_cfg = _base_.with_teacher
