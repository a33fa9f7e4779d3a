# DIST: VGG13 teaches VGG8.
_base_ = [
    "../_base_/pairs/cifar100/vgg13_vgg8.py",
    "../_base_/recipes/cifar100_1xb64_240e.py",
    "../_base_/distillers/dist_fc_cifar100.py",
]
model = dict(distiller=_base_.distiller)
