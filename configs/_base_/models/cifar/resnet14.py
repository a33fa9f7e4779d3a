# resnet14 of the CIFAR-100 distillation tables.
_base_ = ["resnet8.py"]
model = dict(backbone=dict(depth=14))
