# DIST on the class scores of the box head, background included: teacher and student look at the student's sampled
# regions (mmdist.SingleTeacherDistill sees to that).
recorders = dict(scores=dict(type="mmdist.Module", source="roi_head.bbox_head.fc_cls"))
distiller = dict(
    type="mmrazor.ConfigurableDistiller",
    student_recorders=recorders,
    teacher_recorders=recorders,
    distill_losses=dict(loss_dist=dict(type="mmdist.DISTLoss", loss_weight=1.0)),
    loss_forward_mappings=dict(
        loss_dist=dict(
            logits_S=dict(recorder="scores", from_student=True),
            logits_T=dict(recorder="scores", from_student=False),
        )
    ),
)
