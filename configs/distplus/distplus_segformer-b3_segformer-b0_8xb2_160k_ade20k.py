# DIST+: SegFormer-B3 teaches SegFormer-B0.
_base_ = [
    "../_base_/pairs/ade20k/segformer-b3_segformer-b0.py",
    "../_base_/distillers/distplus_fusion_conv.py",
]
model = dict(distiller=_base_.distiller, acclimated=["decode_head.fusion_conv.conv", "decode_head.conv_seg"])
# AdamW's steps do not shrink with the gradient: a thousandth of the rate that the student's head has.
optim_wrapper = dict(paramwise_cfg=dict(custom_keys=dict(acclimated=dict(lr_mult=0.01, decay_mult=0.0))))
val_cfg = _base_.with_teacher
