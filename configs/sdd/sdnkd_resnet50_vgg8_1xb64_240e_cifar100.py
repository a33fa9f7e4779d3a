# SD-NKD: ResNet50 teaches VGG8.
_base_ = [
    "../_base_/pairs/cifar100/resnet50_vgg8.py",
    "../_base_/recipes/cifar100_1xb64_240e.py",
    "../_base_/distillers/sdd_zoo.py",
]
model = _base_.pop("sdd_zoo")["resnet50_vgg8"]["sdnkd"]
