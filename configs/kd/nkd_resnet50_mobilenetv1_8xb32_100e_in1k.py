# NKD: ResNet-50 teaches MobileNetV1.
_base_ = [
    "../_base_/pairs/in1k/resnet50_mobilenetv1.py",
    "../_base_/recipes/in1k_8xb32_100e.py",
    "../_base_/distillers/nkd_fc.py",
]
model = dict(distiller=_base_.distiller)
