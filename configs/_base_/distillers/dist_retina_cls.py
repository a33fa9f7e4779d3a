# DIST on the class scores of RetinaNet's three finest levels. The shared classification layer runs once a level: one
# record a level, and one named loss, which are summed.
recorders = dict(scores=dict(type="mmrazor.ModuleOutputs", source="bbox_head.retina_cls"))
dist = dict(type="mmdist.DISTLoss", activation="sigmoid", loss_weight=1.0)
distiller = dict(
    type="mmrazor.ConfigurableDistiller",
    student_recorders=recorders,
    teacher_recorders=recorders,
    distill_losses=dict(loss_dist_0=dist, loss_dist_1=dist, loss_dist_2=dist),
    loss_forward_mappings={
        f"loss_dist_{level}": dict(
            logits_S=dict(recorder="scores", from_student=True, record_idx=level),
            logits_T=dict(recorder="scores", from_student=False, record_idx=level),
        )
        for level in range(3)
    },
)
