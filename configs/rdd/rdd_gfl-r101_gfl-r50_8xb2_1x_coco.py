# RDD: GFL-R101 teaches GFL-R50, and weighs its task loss location by location (ours).
_base_ = [
    "../_base_/pairs/coco/gfl-r101_gfl-r50.py",
    "../_base_/distillers/kd_dense_cls.py",
    "../_base_/weightings/rdd.py",
]
model = dict(distiller=_base_.distiller, weighting=_base_.weighting)
