# DIST and mimic: RTMDet-l teaches RTMDet-s.
_base_ = [
    "../_base_/pairs/coco/rtmdet-l_rtmdet-s.py",
    "../_base_/distillers/dist-mimic_dense_cls_3.py",
]
model = dict(distiller=_base_.distiller)
