# PKD: FCOS-R101 teaches FCOS-R50.
_base_ = [
    "../_base_/pairs/coco/fcos-r101_fcos-r50.py",
    "../_base_/distillers/pkd_fpn_dense.py",
]
model = dict(distiller=_base_.distiller)
