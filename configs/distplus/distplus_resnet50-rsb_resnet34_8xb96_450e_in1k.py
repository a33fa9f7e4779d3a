# DIST+: ResNet-50 (RSB A1) teaches ResNet-34.
_base_ = [
    "../_base_/pairs/in1k/resnet50-rsb_resnet34.py",
    "../_base_/recipes/in1k_8xb96_450e.py",
    "../_base_/distillers/distplus_fc_rmsprop.py",
]
model = dict(
    distiller=_base_.distiller,
    acclimated=["backbone.layer4.2.conv3", "head.fc"],
    architecture=dict(head=dict(loss=_base_.task_loss)),
)
optim_wrapper = _base_.teachers_rate
val_cfg = _base_.with_teacher
