# DCKD: RTMDet-l teaches RTMDet-s.
_base_ = [
    "../_base_/pairs/coco/rtmdet-l_rtmdet-s.py",
    "../_base_/distillers/dckd_dense_cls.py",
]
model = dict(distiller=_base_.distiller)
