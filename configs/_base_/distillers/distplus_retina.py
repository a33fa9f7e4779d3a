# DIST+ on RetinaNet: DIST on the class scores of the three finest levels, both relations on the pyramid, and a teacher
# whose last layers (`acclimated`, in the config) come to meet the student, at the anchors that have an object.
# `num_classes` of the acclimation is that of the data.
levels = range(3)
recorders = dict(
    scores=dict(type="mmdist.Module", source="bbox_head.retina_cls"),
    pyramid=dict(type="mmdist.Module", source="neck"),
)
labels = dict(labels=dict(type="mmdist.Module", source="bbox_head.loss_cls", what="inputs"))
pyramid_S = dict(recorder="pyramid", from_student=True, connector="align")
pyramid_T = dict(recorder="pyramid", from_student=False)
dist = dict(type="mmdist.DISTLoss", activation="sigmoid", loss_weight=1.0)
acclimation = dict(type="mmdist.AcclimationLoss", activation="sigmoid", num_classes=10, loss_weight=1.0)
distiller = dict(
    type="mmrazor.ConfigurableDistiller",
    student_recorders=dict(**recorders, **labels),
    teacher_recorders=recorders,
    connectors=dict(align=dict(type="mmdist.AlignConnector")),
    distill_losses=dict(
        loss_channel=dict(type="mmdist.ChannelRelationLoss", loss_weight=1.0),
        loss_spatial=dict(type="mmdist.SpatialRelationLoss", loss_weight=1.0),
        **{f"loss_dist_{level}": dist for level in levels},
        **{f"loss_teacher_{level}": acclimation for level in levels},
    ),
    loss_forward_mappings=dict(
        loss_channel=dict(preds_S=pyramid_S, preds_T=pyramid_T),
        loss_spatial=dict(preds_S=pyramid_S, preds_T=pyramid_T),
        **{
            f"loss_dist_{level}": dict(
                logits_S=dict(recorder="scores", from_student=True, record_idx=level),
                logits_T=dict(recorder="scores", from_student=False, record_idx=level),
            )
            for level in levels
        },
        **{
            f"loss_teacher_{level}": dict(
                preds_T=dict(recorder="scores", from_student=False, record_idx=level),
                preds_S=dict(recorder="scores", from_student=True, record_idx=level),
                gt_labels=dict(recorder="labels", from_student=True, record_idx=level, data_idx=1),
            )
            for level in levels
        },
    ),
)
