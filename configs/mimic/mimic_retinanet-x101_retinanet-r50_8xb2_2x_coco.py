# Mimic: RetinaNet-X101 teaches RetinaNet-R50.
_base_ = [
    "../_base_/pairs/coco/retinanet-x101_retinanet-r50.py",
    "../_base_/distillers/mimic_fpn.py",
]
model = dict(distiller=_base_.distiller)
