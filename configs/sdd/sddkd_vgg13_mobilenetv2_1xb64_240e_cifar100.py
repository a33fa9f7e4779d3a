# SD-DKD: VGG13 teaches MobileNetV2.
_base_ = [
    "../_base_/pairs/cifar100/vgg13_mobilenetv2.py",
    "../_base_/recipes/cifar100_1xb64_240e_small-nets.py",
    "../_base_/distillers/sdd_fc.py",
    "../_base_/distillers/sdd_pairs.py",
]
settings = _base_.pop("sdd_pairs")["vgg13_mobilenetv2"]["sddkd"]
_base_.distiller.update(
    connectors=dict(regions=settings["head"]),
    distill_losses=dict(loss_sdd=settings["loss"]),
)
model = dict(
    distiller=_base_.distiller,
    architecture=dict(head=dict(loss=dict(loss_weight=settings["ce_weight"]))),
)
