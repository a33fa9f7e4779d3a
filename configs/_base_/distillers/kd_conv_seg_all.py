# KD on a segmenter's logits as the papers have it: every pixel counts, whether it is labelled or not.
_base_ = ["logits.py"]
logits = dict(logits=dict(type="mmdist.Module", source="decode_head.conv_seg"))
distiller = dict(
    student_recorders=logits,
    teacher_recorders=logits,
    distill_losses=dict(loss_kd=dict(type="mmdist.KDLoss", tau=1.0, loss_weight=1.0)),
    loss_forward_mappings=dict(loss_kd={name: _base_.mapping[name] for name in ("preds_S", "preds_T")}),
)
