# DIST+: ResNet-50 (RSB A1) teaches MobileNetV2.
_base_ = [
    "../_base_/pairs/in1k/resnet50-rsb_mobilenetv2.py",
    "../_base_/recipes/in1k_8xb96_450e.py",
    "../_base_/distillers/distplus_fc.py",
]
model = dict(
    distiller=_base_.distiller,
    acclimated=["backbone.layer4.2.conv3", "head.fc"],
    architecture=dict(head=dict(loss=_base_.task_loss)),
)
# RMSProp divides small gradients by its eps, 0.03: a step is as long as SGD's at fifteen times the rate of B1.
optim_wrapper = dict(paramwise_cfg=dict(custom_keys=dict(acclimated=dict(lr_mult=0.01, decay_mult=0.0))))
val_cfg = _base_.with_teacher
