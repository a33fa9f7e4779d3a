# DCKD, as reconstructed, on the class scores of RetinaNet's three finest levels, one record and one loss a level, at
# the anchors that have an object (ours). `num_classes` is that of the data; DKD's settings for detection.
_base_ = ["logits.py"]
levels = range(3)
logits = dict(logits=dict(type="mmdist.Module", source="bbox_head.retina_cls"))
labels = dict(labels=dict(type="mmdist.Module", source="bbox_head.loss_cls", what="inputs"))
dckd = dict(type="mmdist.DCKDLoss", tau=1.0, alpha=1.0, beta=0.25, num_classes=10, loss_weight=1.0)
distiller = dict(
    student_recorders=dict(**logits, **labels),
    teacher_recorders=logits,
    distill_losses={f"loss_dckd_{level}": dckd for level in levels},
    loss_forward_mappings={
        f"loss_dckd_{level}": {name: dict(record, record_idx=level) for name, record in _base_.mapping.items()}
        for level in levels
    },
)
