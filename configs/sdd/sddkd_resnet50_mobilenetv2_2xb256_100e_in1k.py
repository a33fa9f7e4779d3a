# SD-DKD: ResNet-50 teaches MobileNetV2.
_base_ = [
    "../_base_/pairs/in1k/resnet50_mobilenetv2.py",
    "../_base_/recipes/in1k_2xb256_100e.py",
    "../_base_/distillers/sdd_zoo.py",
]
model = _base_.pop("sdd_zoo")["resnet50_mobilenetv2_in1k"]["sddkd"]
