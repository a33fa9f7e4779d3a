# RDD: RetinaNet-X101 teaches RetinaNet-R50, and weighs its task loss anchor by anchor (ours).
_base_ = [
    "../_base_/pairs/coco/retinanet-x101_retinanet-r50.py",
    "../_base_/distillers/kd_dense_cls.py",
    "../_base_/weightings/rdd.py",
]
model = dict(distiller=_base_.distiller, weighting=_base_.weighting)
