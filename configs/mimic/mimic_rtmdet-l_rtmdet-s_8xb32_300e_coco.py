# Mimic: RTMDet-l teaches RTMDet-s.
_base_ = [
    "../_base_/pairs/coco/rtmdet-l_rtmdet-s.py",
    "../_base_/distillers/mimic_fpn_3.py",
]
model = dict(distiller=_base_.distiller)
