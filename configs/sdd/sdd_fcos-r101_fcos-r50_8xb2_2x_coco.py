# SDD: FCOS-R101 teaches FCOS-R50.
_base_ = [
    "../_base_/pairs/coco/fcos-r101_fcos-r50.py",
    "../_base_/distillers/sdd_fcos.py",
]
model = dict(distiller=_base_.distiller)
