# SD-KD: ResNet-50 teaches MobileNetV1.
_base_ = [
    "../_base_/pairs/in1k/resnet50_mobilenetv1.py",
    "../_base_/recipes/in1k_2xb256_100e.py",
    "../_base_/distillers/sdd_fc.py",
    "../_base_/distillers/sdd_pairs.py",
]
settings = _base_.pop("sdd_pairs")["resnet50_mobilenetv1"]["sdkd"]
_base_.distiller.update(
    connectors=dict(regions=settings["head"]),
    distill_losses=dict(loss_sdd=settings["loss"]),
)
model = dict(
    distiller=_base_.distiller,
    architecture=dict(head=dict(loss=dict(loss_weight=settings["ce_weight"]))),
)
