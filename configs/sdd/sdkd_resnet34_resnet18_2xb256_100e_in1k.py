# SD-KD: ResNet-34 teaches ResNet-18.
_base_ = [
    "../_base_/pairs/in1k/resnet34_resnet18.py",
    "../_base_/recipes/in1k_2xb256_100e.py",
    "../_base_/distillers/sdd_zoo.py",
]
model = _base_.pop("sdd_zoo")["resnet34_resnet18"]["sdkd"]
