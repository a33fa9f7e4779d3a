# DIST+: ResNet-34 teaches ResNet-18.
_base_ = [
    "../_base_/pairs/in1k/resnet34_resnet18.py",
    "../_base_/recipes/in1k_8xb32_100e_dist.py",
    "../_base_/distillers/distplus_fc.py",
]
model = dict(distiller=_base_.distiller, acclimated=["backbone.layer4.2.conv2", "head.fc"])
optim_wrapper = dict(paramwise_cfg=dict(custom_keys=dict(acclimated=dict(lr_mult=0.1, decay_mult=0.0))))
val_cfg = dict(type="mmdist.DistillValLoop", teacher=True)
