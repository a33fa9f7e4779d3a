# resnet32x4 of the CIFAR-100 distillation tables.
_base_ = ["resnet8x4.py"]
model = dict(backbone=dict(depth=32))
