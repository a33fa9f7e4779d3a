# DIST+ on Faster R-CNN: DIST on the class scores of the student's sampled regions, both relations on the pyramid, and a
# teacher whose last layers (`acclimated`, in the config) come to meet the student on the regions' classes.
recorders = dict(
    scores=dict(type="mmdist.Module", source="roi_head.bbox_head.fc_cls"),
    pyramid=dict(type="mmdist.Module", source="neck"),
)
labels = dict(labels=dict(type="mmdist.Module", source="roi_head.bbox_head.loss_cls", what="inputs"))
pyramid_S = dict(recorder="pyramid", from_student=True, connector="align")
pyramid_T = dict(recorder="pyramid", from_student=False)
distiller = dict(
    type="mmrazor.ConfigurableDistiller",
    student_recorders=dict(**recorders, **labels),
    teacher_recorders=recorders,
    connectors=dict(align=dict(type="mmdist.AlignConnector")),
    distill_losses=dict(
        loss_dist=dict(type="mmdist.DISTLoss", loss_weight=1.0),
        loss_channel=dict(type="mmdist.ChannelRelationLoss", loss_weight=1.0),
        loss_spatial=dict(type="mmdist.SpatialRelationLoss", loss_weight=1.0),
        loss_teacher=dict(type="mmdist.AcclimationLoss", loss_weight=1.0),
    ),
    loss_forward_mappings=dict(
        loss_dist=dict(
            logits_S=dict(recorder="scores", from_student=True),
            logits_T=dict(recorder="scores", from_student=False),
        ),
        loss_channel=dict(preds_S=pyramid_S, preds_T=pyramid_T),
        loss_spatial=dict(preds_S=pyramid_S, preds_T=pyramid_T),
        loss_teacher=dict(
            preds_T=dict(recorder="scores", from_student=False),
            preds_S=dict(recorder="scores", from_student=True),
            gt_labels=dict(recorder="labels", from_student=True, data_idx=1),
        ),
    ),
)
