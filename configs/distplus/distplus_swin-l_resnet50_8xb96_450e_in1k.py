# DIST+: Swin-L teaches ResNet-50.
_base_ = [
    "../_base_/pairs/in1k/swin-l_resnet50.py",
    "../_base_/recipes/in1k_8xb96_450e.py",
    "../_base_/distillers/distplus_fc_rmsprop.py",
]
# A Swin does not say which pictures it can take: the channels cannot be looked up with a small one.
_base_.distiller.connectors.align.update(in_channels=2048, out_channels=1536)
model = dict(
    distiller=_base_.distiller,
    acclimated=["backbone.stages.3.blocks.1.ffn.layers.1", "head.fc"],
    architecture=dict(head=dict(loss=_base_.task_loss)),
)
optim_wrapper = _base_.teachers_rate
val_cfg = _base_.with_teacher
