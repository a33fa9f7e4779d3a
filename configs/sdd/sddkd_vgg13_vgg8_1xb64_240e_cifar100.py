# SD-DKD: VGG13 teaches VGG8.
_base_ = [
    "../_base_/pairs/cifar100/vgg13_vgg8.py",
    "../_base_/recipes/cifar100_1xb64_240e.py",
    "../_base_/distillers/sdd_zoo.py",
]
model = _base_.pop("sdd_zoo")["vgg13_vgg8"]["sddkd"]
