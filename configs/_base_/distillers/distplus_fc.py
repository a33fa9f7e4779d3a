# DIST+ on a classifier, with the weights that the paper uses on ImageNet: DIST on the logits, both relations on the
# backbone's last map, and a teacher whose last layers (`acclimated`, in the config) come to meet the student.
recorders = dict(
    logits=dict(type="mmdist.Module", source="head.fc"),
    feature=dict(type="mmdist.Module", source="backbone"),
)
labels = dict(labels=dict(type="mmdist.Module", source="head.loss_module", what="inputs"))
feature_S = dict(recorder="feature", from_student=True, data_idx=0, connector="align")
feature_T = dict(recorder="feature", from_student=False, data_idx=0)
distiller = dict(
    type="mmrazor.ConfigurableDistiller",
    student_recorders=dict(**recorders, **labels),
    teacher_recorders=recorders,
    connectors=dict(align=dict(type="mmdist.AlignConnector")),
    distill_losses=dict(
        loss_dist=dict(type="mmdist.DISTLoss", loss_weight=2.0),
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
