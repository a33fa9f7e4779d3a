# PKD on all levels of a pyramid whose channels differ (ours): a convolution a level brings the student's to the
# teacher's.
fpn = dict(fpn=dict(type="mmdist.Module", source="neck"))
distiller = dict(
    type="mmrazor.ConfigurableDistiller",
    student_recorders=fpn,
    teacher_recorders=fpn,
    connectors=dict(align=dict(type="mmdist.AlignConnector")),
    distill_losses=dict(loss_pkd=dict(type="mmrazor.PKDLoss", loss_weight=10.0)),
    loss_forward_mappings=dict(
        loss_pkd=dict(
            preds_S=dict(recorder="fpn", from_student=True, connector="align"),
            preds_T=dict(recorder="fpn", from_student=False),
        )
    ),
)
