# SD-KD: VGG13 teaches MobileNetV2.
_base_ = [
    "../_base_/pairs/cifar100/vgg13_mobilenetv2.py",
    "../_base_/recipes/cifar100_1xb64_240e_small-nets.py",
    "../_base_/distillers/sdd_zoo.py",
]
model = _base_.pop("sdd_zoo")["vgg13_mobilenetv2"]["sdkd"]
