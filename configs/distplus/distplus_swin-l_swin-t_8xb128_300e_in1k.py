# DIST+: Swin-L teaches Swin-T.
_base_ = [
    "../_base_/pairs/in1k/swin-l_swin-t.py",
    "../_base_/recipes/in1k_8xb128_300e_swin.py",
    "../_base_/distillers/distplus_fc.py",
]
# A Swin does not say which pictures it can take: the channels cannot be looked up with a small one.
_base_.distiller.connectors.align.update(in_channels=768, out_channels=1536)
model = dict(distiller=_base_.distiller, acclimated=["backbone.stages.3.blocks.1.ffn.layers.1", "head.fc"])
# AdamW's steps do not shrink with the gradient: at a tenth of the student's rate the teacher would be taught too much.
optim_wrapper = dict(paramwise_cfg=dict(custom_keys=dict(acclimated=dict(lr_mult=1e-3, decay_mult=0.0))))
val_cfg = _base_.with_teacher
