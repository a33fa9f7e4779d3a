# DIST+: ResNet-101 teaches ResNet-34.
_base_ = [
    "../_base_/pairs/in1k/resnet101_resnet34.py",
    "../_base_/recipes/in1k_8xb32_100e_dist.py",
    "../_base_/distillers/distplus_fc.py",
]
model = dict(distiller=_base_.distiller, acclimated=["backbone.layer4.2.conv3", "head.fc"])
optim_wrapper = _base_.teachers_rate
val_cfg = _base_.with_teacher
