# KD of Faster R-CNN by a cascade, whose first stage looks at the student's sampled regions; background is a class.
_base_ = ["logits.py"]
logits_S = dict(logits=dict(type="mmdist.Module", source="roi_head.bbox_head.fc_cls"))
logits_T = dict(logits=dict(type="mmdist.Module", source="roi_head.bbox_head.0.fc_cls"))
distiller = dict(
    student_recorders=logits_S,
    teacher_recorders=logits_T,
    distill_losses=dict(loss_kd=dict(type="mmdist.KDLoss", tau=1.0, loss_weight=1.0)),
    loss_forward_mappings=dict(loss_kd={name: _base_.mapping[name] for name in ("preds_S", "preds_T")}),
)
