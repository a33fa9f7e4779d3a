# DCKD: ResNet50 teaches MobileNetV2.
_base_ = [
    "../_base_/pairs/cifar100/resnet50_mobilenetv2.py",
    "../_base_/recipes/cifar100_1xb64_240e_small-nets.py",
    "../_base_/distillers/dckd_fc_cifar100.py",
]
model = dict(distiller=_base_.distiller)
