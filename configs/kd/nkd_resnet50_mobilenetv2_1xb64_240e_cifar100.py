# NKD: ResNet50 teaches MobileNetV2.
_base_ = [
    "../_base_/pairs/cifar100/resnet50_mobilenetv2.py",
    "../_base_/recipes/cifar100_1xb64_240e_small-nets.py",
    "../_base_/distillers/nkd_fc.py",
]
model = dict(distiller=_base_.distiller)
