# SD-NKD: resnet56 teaches resnet20.
_base_ = [
    "../_base_/pairs/cifar100/resnet56_resnet20.py",
    "../_base_/recipes/cifar100_1xb64_240e.py",
    "../_base_/distillers/sdd_zoo.py",
]
model = _base_.pop("sdd_zoo")["resnet56_resnet20"]["sdnkd"]
# DKD's beta for resnet56 (ours here: the pair is not in SDD's tables).
model.distiller.distill_losses.loss_sdd.base.gamma = 2.0
