# DIST+: Swin-L teaches ResNet-50.
_base_ = [
    "../_base_/pairs/in1k/swin-l_resnet50.py",
    "../_base_/recipes/in1k_8xb96_450e.py",
    "../_base_/distillers/distplus_fc.py",
]
# A Swin does not say which pictures it can take: the channels cannot be looked up with a small one.
_base_.distiller.connectors.align.update(in_channels=2048, out_channels=1536)
model = dict(
    distiller=_base_.distiller,
    acclimated=["backbone.stages.3.blocks.1.ffn.layers.1", "head.fc"],
    architecture=dict(head=dict(loss=_base_.task_loss)),
)
# RMSProp divides small gradients by its eps, 0.03: a step is as long as SGD's at fifteen times the rate of B1.
optim_wrapper = dict(paramwise_cfg=dict(custom_keys=dict(acclimated=dict(lr_mult=0.01, decay_mult=0.0))))
val_cfg = _base_.with_teacher
