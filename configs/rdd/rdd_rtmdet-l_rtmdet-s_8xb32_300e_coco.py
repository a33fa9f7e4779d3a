# RDD: RTMDet-l teaches RTMDet-s, and weighs its task loss location by location (ours).
_base_ = [
    "../_base_/pairs/coco/rtmdet-l_rtmdet-s.py",
    "../_base_/distillers/kd_dense_cls.py",
    "../_base_/weightings/rdd.py",
]
model = dict(distiller=_base_.distiller, weighting=_base_.weighting)
