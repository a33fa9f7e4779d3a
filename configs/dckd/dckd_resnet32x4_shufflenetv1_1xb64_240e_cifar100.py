# DCKD: resnet32x4 teaches ShuffleNetV1.
_base_ = [
    "../_base_/pairs/cifar100/resnet32x4_shufflenetv1.py",
    "../_base_/recipes/cifar100_1xb64_240e_small-nets.py",
    "../_base_/distillers/dckd_fc_cifar100.py",
]
model = dict(distiller=_base_.distiller)
