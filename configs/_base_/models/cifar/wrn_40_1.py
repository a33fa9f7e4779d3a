# wrn_40_1 of the CIFAR-100 distillation tables.
_base_ = ["wrn_16_1.py"]
model = dict(backbone=dict(depth=40))
