# DIST+: RTMDet-l teaches RTMDet-s.
_base_ = [
    "../_base_/pairs/coco/rtmdet-l_rtmdet-s.py",
    "../_base_/distillers/distplus_dense_cls.py",
]
model = dict(distiller=_base_.distiller, acclimated=["bbox_head.cls_convs.0.1.conv", "bbox_head.rtm_cls"])
# AdamW's steps do not shrink with the gradient; and an `eta_min` would hold for the teacher's layers too.
optim_wrapper = dict(paramwise_cfg=dict(custom_keys=dict(acclimated=dict(lr_mult=1e-4, decay_mult=0.0))))
_base_.param_scheduler[1].update(eta_min=None, eta_min_ratio=0.05)
val_cfg = _base_.with_teacher
