# What DIST+ is on every task: DIST on the logits, both relations on an aligned feature, and a teacher whose last layers
# (`acclimated`, in the config) come to meet the student. The files beside it say where `logits`, `feature` and `labels`
# are recorded.
#
# For the config: `optim_wrapper = _base_.teachers_rate`, a tenth of the student's rate for those layers (ours, with
# SGD), and `val_cfg = _base_.with_teacher`, which validates the teacher too.
teachers_rate = dict(paramwise_cfg=dict(custom_keys=dict(acclimated=dict(lr_mult=0.1, decay_mult=0.0))))
with_teacher = dict(type="mmdist.DistillValLoop", teacher=True)
feature_S = dict(recorder="feature", from_student=True, connector="align")
feature_T = dict(recorder="feature", from_student=False)
distiller = dict(
    type="mmrazor.ConfigurableDistiller",
    connectors=dict(align=dict(type="mmdist.AlignConnector")),
    distill_losses=dict(
        loss_dist=dict(type="mmdist.DISTLoss", loss_weight=1.0),
        loss_channel=dict(type="mmdist.ChannelRelationLoss", loss_weight=1.0),
        loss_spatial=dict(type="mmdist.SpatialRelationLoss", loss_weight=1.0),
        loss_teacher=dict(type="mmdist.AcclimationLoss", loss_weight=1.0),
    ),
    loss_forward_mappings=dict(
        loss_dist=dict(
            logits_S=dict(recorder="logits", from_student=True),
            logits_T=dict(recorder="logits", from_student=False),
        ),
        loss_channel=dict(preds_S=feature_S, preds_T=feature_T),
        loss_spatial=dict(preds_S=feature_S, preds_T=feature_T),
        loss_teacher=dict(
            preds_T=dict(recorder="logits", from_student=False),
            preds_S=dict(recorder="logits", from_student=True),
            gt_labels=dict(recorder="labels", from_student=True, data_idx=1),
        ),
    ),
)
