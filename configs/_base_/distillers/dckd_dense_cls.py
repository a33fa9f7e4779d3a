# DCKD, as reconstructed, on a dense detector whose head assigns its labels level by level, at the anchors that have an
# object (ours): GFL and RTMDet, and FCOS, whose `get_targets` returns the labels first (data_idx=0). `num_classes` is
# that of the data; DKD's settings for detection.
_base_ = ["dense_cls.py"]
distiller = dict(
    student_recorders=dict(labels=dict(type="mmdist.Method", source="bbox_head.get_targets")),
    distill_losses=dict(loss_dckd=dict(type="mmdist.DCKDLoss", tau=1.0, alpha=1.0, beta=0.25, num_classes=80)),
    loss_forward_mappings=dict(
        loss_dckd=dict(
            preds_S=_base_.scores_S,
            preds_T=_base_.scores_T,
            gt_labels=dict(recorder="labels", from_student=True, data_idx=1),
        )
    ),
)
