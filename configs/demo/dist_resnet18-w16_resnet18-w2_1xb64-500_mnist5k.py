# DIST from the wide ResNet-18 to the narrow one.
_base_ = ["../_base_/pairs/demo/resnet18_mnist5k.py", "../_base_/distillers/dist_fc.py"]
model = dict(distiller=_base_.distiller)
