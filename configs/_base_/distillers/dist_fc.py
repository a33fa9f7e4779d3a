# DIST on a classifier's logits, with the weight that the paper uses on ImageNet.
recorders = dict(logits=dict(type="mmrazor.ModuleOutputs", source="head.fc"))
distiller = dict(
    type="mmrazor.ConfigurableDistiller",
    student_recorders=recorders,
    teacher_recorders=recorders,
    distill_losses=dict(loss_dist=dict(type="mmdist.DISTLoss", loss_weight=2.0)),
    loss_forward_mappings=dict(
        loss_dist=dict(
            logits_S=dict(recorder="logits", from_student=True),
            logits_T=dict(recorder="logits", from_student=False),
        )
    ),
)
