# wrn_16_2 of the CIFAR-100 distillation tables.
_base_ = ["wrn_16_1.py"]
model = dict(backbone=dict(widen_factor=2), head=dict(in_channels=128))
