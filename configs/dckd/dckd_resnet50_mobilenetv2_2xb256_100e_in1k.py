# DCKD: ResNet-50 teaches MobileNetV2.
_base_ = [
    "../_base_/pairs/in1k/resnet50_mobilenetv2.py",
    "../_base_/recipes/in1k_2xb256_100e.py",
    "../_base_/distillers/dckd_fc_in1k.py",
]
_base_.distiller.distill_losses.loss_dckd.beta = 2.0
model = dict(distiller=_base_.distiller)
