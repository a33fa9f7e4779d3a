# DCKD: VGG13 teaches VGG8.
_base_ = [
    "../_base_/pairs/cifar100/vgg13_vgg8.py",
    "../_base_/recipes/cifar100_1xb64_240e.py",
    "../_base_/distillers/dckd_fc_cifar100.py",
]
_base_.distiller.distill_losses.loss_dckd.beta = 6.0
model = dict(distiller=_base_.distiller)
