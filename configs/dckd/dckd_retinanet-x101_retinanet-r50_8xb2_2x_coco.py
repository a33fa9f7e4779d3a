# DCKD: RetinaNet-X101 teaches RetinaNet-R50.
_base_ = [
    "../_base_/pairs/coco/retinanet-x101_retinanet-r50.py",
    "../_base_/distillers/dckd_retina_coco.py",
]
model = dict(distiller=_base_.distiller)
