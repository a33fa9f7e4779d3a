# DKD: WRN-40-2 teaches ShuffleNetV1.
_base_ = [
    "../_base_/pairs/cifar100/wrn-40-2_shufflenetv1.py",
    "../_base_/recipes/cifar100_1xb64_240e_small-nets.py",
    "../_base_/distillers/dkd_fc_cifar100.py",
]
model = dict(distiller=_base_.distiller)
