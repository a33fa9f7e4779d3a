# DIST: ResNet-50 teaches ResNet-18.
_base_ = [
    "../_base_/pairs/in1k/resnet50_resnet18.py",
    "../_base_/recipes/in1k_8xb32_100e_dist.py",
    "../_base_/distillers/dist_fc.py",
]
model = dict(distiller=_base_.distiller)
