# DIST on a segmenter's auxiliary head too, with 0.4, as the task loss has it: added by the files that end in `_aux`.
aux_recorders = dict(auxiliary=dict(type="mmdist.Module", source="auxiliary_head.conv_seg"))
auxiliary = dict(
    student_recorders=aux_recorders,
    teacher_recorders=aux_recorders,
    distill_losses=dict(loss_dist_aux=dict(type="mmdist.DISTLoss", loss_weight=0.4)),
    loss_forward_mappings=dict(
        loss_dist_aux=dict(
            logits_S=dict(recorder="auxiliary", from_student=True),
            logits_T=dict(recorder="auxiliary", from_student=False),
        )
    ),
)
