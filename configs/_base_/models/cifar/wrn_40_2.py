# wrn_40_2 of the CIFAR-100 distillation tables.
_base_ = ["wrn_16_2.py"]
model = dict(backbone=dict(depth=40))
