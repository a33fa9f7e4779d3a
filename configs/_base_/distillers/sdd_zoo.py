# SDD in the zoo: `sdd_zoo["TEACHER_STUDENT"]["sdkd"]` (`sddkd`, `sdnkd`) is what a config of that pair adds to the
# model. The settings are those of sdd_pairs.py. Pairs that SDD's tables do not have take them from one that is like
# them (ours): a student of the teacher's family, or another.
_base_ = ["sdd_fc.py", "sdd_pairs.py"]
pairs = _base_.pop("sdd_pairs")
like = {
    "resnet50_mobilenetv2_in1k": "resnet50_mobilenetv1",
    "resnet50-rsb_resnet18": "resnet34_resnet18",
    "resnet50-rsb_resnet34": "resnet34_resnet18",
    "resnet50-rsb_efficientnet-b0": "resnet50_mobilenetv1",
    "swin-l_swin-t": "resnet34_resnet18",
    "resnet56_resnet20": "resnet32x4_resnet8x4",
}
pairs.update({name: pairs[other] for name, other in like.items()})
sdd_zoo = {
    name: {
        method: dict(
            distiller=dict(
                _base_.distiller,
                connectors=dict(regions=settings["head"]),
                distill_losses=dict(loss_sdd=settings["loss"]),
            ),
            architecture=dict(head=dict(loss=dict(loss_weight=settings["ce_weight"]))),
        )
        for method, settings in methods.items()
    }
    for name, methods in pairs.items()
}
del pairs, like  # a config that inherits this file gets the result alone
