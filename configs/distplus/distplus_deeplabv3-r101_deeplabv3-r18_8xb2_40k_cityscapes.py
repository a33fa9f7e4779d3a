# DIST+: DeepLabV3-R101 teaches DeepLabV3-R18.
_base_ = [
    "../_base_/pairs/cityscapes/deeplabv3-r101_deeplabv3-r18.py",
    "../_base_/recipes/cityscapes_8xb2_40k.py",
    "../_base_/distillers/distplus_conv_seg_aux.py",
]
model = dict(distiller=_base_.distiller, acclimated=["decode_head.bottleneck.conv", "decode_head.conv_seg"])
optim_wrapper = dict(paramwise_cfg=dict(custom_keys=dict(acclimated=dict(lr_mult=0.1, decay_mult=0.0))))
val_cfg = dict(type="mmdist.DistillValLoop", teacher=True)
