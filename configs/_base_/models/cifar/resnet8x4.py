# resnet8x4 of the CIFAR-100 distillation tables: stages four times as wide, a stem twice as wide.
_base_ = ["resnet8.py"]
model = dict(backbone=dict(channels=(32, 64, 128, 256)), head=dict(in_channels=256))
