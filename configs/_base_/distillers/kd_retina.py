# KD on the class scores of RetinaNet's three finest levels, one record and one loss a level: the mean over the anchors
# of a binary KL a class. `num_classes` is that of the data.
_base_ = ["logits.py"]
levels = range(3)
logits = dict(logits=dict(type="mmdist.Module", source="bbox_head.retina_cls"))
kd = dict(type="mmdist.KDLoss", tau=1.0, activation="sigmoid", num_classes=10, loss_weight=1.0)
distiller = dict(
    student_recorders=logits,
    teacher_recorders=logits,
    distill_losses={f"loss_kd_{level}": kd for level in levels},
    loss_forward_mappings={
        f"loss_kd_{level}": {name: dict(_base_.mapping[name], record_idx=level) for name in ("preds_S", "preds_T")}
        for level in levels
    },
)
