# KD: ResNet50 teaches VGG8.
_base_ = [
    "../_base_/pairs/cifar100/resnet50_vgg8.py",
    "../_base_/recipes/cifar100_1xb64_240e.py",
    "../_base_/distillers/kd_fc.py",
]
model = dict(distiller=_base_.distiller, architecture=dict(head=dict(loss=dict(loss_weight=0.1))))
