# DIST and mimic: FCOS-R101 teaches FCOS-R50.
_base_ = [
    "../_base_/pairs/coco/fcos-r101_fcos-r50.py",
    "../_base_/distillers/dist-mimic_dense_cls.py",
]
model = dict(distiller=_base_.distiller)
