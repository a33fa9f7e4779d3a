# DCKD: WRN-40-2 teaches WRN-40-1.
_base_ = [
    "../_base_/pairs/cifar100/wrn-40-2_wrn-40-1.py",
    "../_base_/recipes/cifar100_1xb64_240e.py",
    "../_base_/distillers/dckd_fc_cifar100.py",
]
_base_.distiller.distill_losses.loss_dckd.beta = 6.0
model = dict(distiller=_base_.distiller)
