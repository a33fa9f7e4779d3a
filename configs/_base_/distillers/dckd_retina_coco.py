# DCKD, as reconstructed, on RetinaNet for COCO: the two coarsest levels too, and 80 classes.
_base_ = ["dckd_retina.py"]
names = ("loss_dckd",)
distiller = dict(
    distill_losses={
        f"{name}_{level}": dict(_base_.distiller.distill_losses[f"{name}_0"], num_classes=80)
        for name in names
        for level in range(5)
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
