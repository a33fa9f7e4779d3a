# DIST+: VGG13 teaches VGG8.
_base_ = [
    "../_base_/pairs/cifar100/vgg13_vgg8.py",
    "../_base_/recipes/cifar100_1xb64_240e.py",
    "../_base_/distillers/distplus_fc_cifar100.py",
]
model = dict(distiller=_base_.distiller, acclimated=["backbone.block4.3", "head.fc"])
optim_wrapper = _base_.teachers_rate
val_cfg = _base_.with_teacher
