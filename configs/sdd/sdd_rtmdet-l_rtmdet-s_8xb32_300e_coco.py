# SDD: RTMDet-l teaches RTMDet-s.
_base_ = [
    "../_base_/pairs/coco/rtmdet-l_rtmdet-s.py",
    "../_base_/distillers/sdd_rtmdet.py",
]
model = dict(distiller=_base_.distiller)
