# DIST+ from the wide RetinaNet to the narrow one.
_base_ = ["../_base_/pairs/demo/retinanet_r18_digits.py", "../_base_/distillers/distplus_retina.py"]
model = dict(acclimated=["bbox_head.cls_convs.1.conv", "bbox_head.retina_cls"], distiller=_base_.distiller)
# AdamW's steps do not shrink with the gradient: at a tenth of the student's rate the teacher would be taught too much.
# The schedule ends at 0: `eta_min` is the same for every parameter, and would be more than the teacher starts with.
optim_wrapper = dict(paramwise_cfg=dict(custom_keys=dict(acclimated=dict(lr_mult=1e-3, decay_mult=0.0))))
param_scheduler = [
    dict(type="LinearLR", start_factor=0.1, by_epoch=False, begin=0, end=50),
    dict(type="PolyLR", power=0.9, eta_min=0, by_epoch=False, begin=50, end=800),
]
val_cfg = dict(_delete_=True, type="mmdist.DistillValLoop", teacher=True)
