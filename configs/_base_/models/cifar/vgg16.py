# vgg16 (with batch norm) of the CIFAR-100 distillation tables.
_base_ = ["vgg8.py"]
model = dict(backbone=dict(depth=16))
