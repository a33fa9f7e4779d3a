# DIST+: resnet32x4 teaches resnet8x4.
_base_ = [
    "../_base_/pairs/cifar100/resnet32x4_resnet8x4.py",
    "../_base_/recipes/cifar100_1xb64_240e.py",
    "../_base_/distillers/distplus_fc_cifar100.py",
]
model = dict(distiller=_base_.distiller, acclimated=["backbone.layer3.4.conv2", "head.fc"])
optim_wrapper = _base_.teachers_rate
val_cfg = _base_.with_teacher
