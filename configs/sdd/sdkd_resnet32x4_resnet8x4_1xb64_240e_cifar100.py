# SD-KD: resnet32x4 teaches resnet8x4.
_base_ = [
    "../_base_/pairs/cifar100/resnet32x4_resnet8x4.py",
    "../_base_/recipes/cifar100_1xb64_240e.py",
    "../_base_/distillers/sdd_zoo.py",
]
model = _base_.pop("sdd_zoo")["resnet32x4_resnet8x4"]["sdkd"]
