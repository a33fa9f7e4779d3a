# DIST on a segmenter's logits, before they are upsampled.
recorders = dict(logits=dict(type="mmrazor.ModuleOutputs", source="decode_head.conv_seg"))
distiller = dict(
    type="mmrazor.ConfigurableDistiller",
    student_recorders=recorders,
    teacher_recorders=recorders,
    distill_losses=dict(loss_dist=dict(type="mmdist.DISTLoss", loss_weight=1.0)),
    loss_forward_mappings=dict(
        loss_dist=dict(
            logits_S=dict(recorder="logits", from_student=True),
            logits_T=dict(recorder="logits", from_student=False),
        )
    ),
)
