# DKD: resnet56 teaches resnet20.
_base_ = [
    "../_base_/pairs/cifar100/resnet56_resnet20.py",
    "../_base_/recipes/cifar100_1xb64_240e.py",
    "../_base_/distillers/dkd_fc_cifar100.py",
]
_base_.distiller.distill_losses.loss_dkd.beta = 2.0
model = dict(distiller=_base_.distiller)
