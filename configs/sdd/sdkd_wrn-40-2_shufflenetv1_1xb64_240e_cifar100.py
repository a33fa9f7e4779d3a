# SD-KD: WRN-40-2 teaches ShuffleNetV1.
_base_ = [
    "../_base_/pairs/cifar100/wrn-40-2_shufflenetv1.py",
    "../_base_/recipes/cifar100_1xb64_240e_small-nets.py",
    "../_base_/distillers/sdd_zoo.py",
]
model = _base_.pop("sdd_zoo")["wrn-40-2_shufflenetv1"]["sdkd"]
