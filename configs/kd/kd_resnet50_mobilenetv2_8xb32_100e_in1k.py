# KD: ResNet-50 teaches MobileNetV2.
_base_ = [
    "../_base_/pairs/in1k/resnet50_mobilenetv2.py",
    "../_base_/recipes/in1k_8xb32_100e_dist.py",
    "../_base_/distillers/kd_fc_in1k.py",
]
model = dict(distiller=_base_.distiller, architecture=dict(head=dict(loss=dict(loss_weight=0.9))))
