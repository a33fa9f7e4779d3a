# DCKD, as reconstructed, on RetinaNet for COCO: the two coarsest levels too, and 80 classes.
_base_ = ["dckd_retina.py"]
loss = _base_.distiller.distill_losses.loss_dckd_0
mapping = _base_.distiller.loss_forward_mappings.loss_dckd_0
distiller = dict(
    distill_losses={f"loss_dckd_{level}": dict(loss, num_classes=80) for level in range(5)},
    loss_forward_mappings={
        f"loss_dckd_{level}": {argument: dict(record, record_idx=level) for argument, record in mapping.items()}
        for level in range(5)
    },
)
