# DIST+ from the wide ResNet-18 to the narrow one.
_base_ = ["../_base_/pairs/demo/resnet18_mnist5k.py", "../_base_/distillers/distplus_fc.py"]
model = dict(acclimated=["backbone.layer4.1.conv2", "head.fc"], distiller=_base_.distiller)
# AdamW's steps do not shrink with the gradient: at a tenth of the student's rate the teacher would be taught too much.
# The schedule ends at 0: `eta_min` is the same for every parameter, and would be more than the teacher starts with.
optim_wrapper = dict(paramwise_cfg=dict(custom_keys=dict(acclimated=dict(lr_mult=1e-3, decay_mult=0.0))))
param_scheduler = [
    dict(type="LinearLR", start_factor=0.1, by_epoch=False, begin=0, end=50),
    dict(type="PolyLR", power=0.9, eta_min=0, by_epoch=False, begin=50, end=500),
]
val_cfg = dict(_delete_=True, type="mmdist.DistillValLoop", teacher=True)
