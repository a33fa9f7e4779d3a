# DIST+ on a dense detector whose head assigns its labels level by level (ours): GFL and RTMDet, and FCOS, whose
# `get_targets` returns the labels first (data_idx=0). The teacher is acclimated at the anchors that have an object;
# `num_classes` is that of the data.
_base_ = ["distplus.py"]
recorders = dict(
    logits=dict(type="mmdist.Method", source="bbox_head.forward"),
    feature=dict(type="mmdist.Module", source="neck"),
)
labels = dict(labels=dict(type="mmdist.Method", source="bbox_head.get_targets"))
scores = dict(data_idx=0)
distiller = dict(
    student_recorders=dict(**recorders, **labels),
    teacher_recorders=recorders,
    distill_losses=dict(
        loss_dist=dict(activation="sigmoid"),
        loss_teacher=dict(activation="sigmoid", num_classes=80),
    ),
    loss_forward_mappings=dict(
        loss_dist=dict(logits_S=scores, logits_T=scores),
        loss_teacher=dict(preds_T=scores, preds_S=scores),
    ),
)
