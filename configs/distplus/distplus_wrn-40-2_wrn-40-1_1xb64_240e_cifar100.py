# DIST+: WRN-40-2 teaches WRN-40-1.
_base_ = [
    "../_base_/pairs/cifar100/wrn-40-2_wrn-40-1.py",
    "../_base_/recipes/cifar100_1xb64_240e.py",
    "../_base_/distillers/distplus_fc_cifar100.py",
]
model = dict(distiller=_base_.distiller, acclimated=["backbone.block3.layer.5.conv2", "head.fc"])
optim_wrapper = dict(paramwise_cfg=dict(custom_keys=dict(acclimated=dict(lr_mult=0.1, decay_mult=0.0))))
val_cfg = dict(type="mmdist.DistillValLoop", teacher=True)
