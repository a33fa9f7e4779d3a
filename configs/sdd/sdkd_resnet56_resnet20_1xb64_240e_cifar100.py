# SD-KD: resnet56 teaches resnet20.
_base_ = [
    "../_base_/pairs/cifar100/resnet56_resnet20.py",
    "../_base_/recipes/cifar100_1xb64_240e.py",
    "../_base_/distillers/sdd_zoo.py",
]
model = _base_.pop("sdd_zoo")["resnet56_resnet20"]["sdkd"]
