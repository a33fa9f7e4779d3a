# SDD (ours) on RetinaNet for COCO: the two coarsest levels too.
_base_ = ["sdd_retina.py"]
loss = _base_.distiller.distill_losses.loss_sdd_0
mapping = _base_.distiller.loss_forward_mappings.loss_sdd_0
distiller = dict(
    distill_losses={f"loss_sdd_{level}": loss for level in range(5)},
    loss_forward_mappings={
        f"loss_sdd_{level}": {argument: dict(record, record_idx=level) for argument, record in mapping.items()}
        for level in range(5)
    },
)
