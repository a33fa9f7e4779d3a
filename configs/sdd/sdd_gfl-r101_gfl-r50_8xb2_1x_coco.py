# SDD: GFL-R101 teaches GFL-R50.
_base_ = [
    "../_base_/pairs/coco/gfl-r101_gfl-r50.py",
    "../_base_/distillers/sdd_gfl.py",
]
model = dict(distiller=_base_.distiller)
