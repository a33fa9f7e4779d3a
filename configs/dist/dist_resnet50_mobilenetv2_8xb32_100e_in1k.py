# DIST: ResNet-50 teaches MobileNetV2.
_base_ = [
    "../_base_/pairs/in1k/resnet50_mobilenetv2.py",
    "../_base_/recipes/in1k_8xb32_100e_dist.py",
    "../_base_/distillers/dist_fc.py",
]
model = dict(distiller=_base_.distiller)
