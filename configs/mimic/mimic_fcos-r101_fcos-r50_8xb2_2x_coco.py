# Mimic: FCOS-R101 teaches FCOS-R50.
_base_ = [
    "../_base_/pairs/coco/fcos-r101_fcos-r50.py",
    "../_base_/distillers/mimic_fpn.py",
]
model = dict(distiller=_base_.distiller)
