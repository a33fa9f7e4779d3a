# DIST+ on RetinaNet for COCO: DIST on all five levels, and 80 classes.
_base_ = ["distplus_retina.py"]
names = ("loss_dist", "loss_teacher")
losses = _base_.distiller.distill_losses
distiller = dict(
    distill_losses={
        **{f"loss_dist_{level}": losses.loss_dist_0 for level in range(5)},
        **{f"loss_teacher_{level}": dict(losses.loss_teacher_0, num_classes=80) for level in range(5)},
    },
    loss_forward_mappings={
        f"{name}_{level}": {
            argument: dict(record, record_idx=level)
            for argument, record in _base_.distiller.loss_forward_mappings[f"{name}_0"].items()
        }
        for name in names
        for level in range(5)
    },
)
