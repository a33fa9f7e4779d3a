# SD-DKD: WRN-40-2 teaches WRN-40-1.
_base_ = [
    "../_base_/pairs/cifar100/wrn-40-2_wrn-40-1.py",
    "../_base_/recipes/cifar100_1xb64_240e.py",
    "../_base_/distillers/sdd_zoo.py",
]
model = _base_.pop("sdd_zoo")["wrn-40-2_wrn-40-1"]["sddkd"]
