# MMRazor's CWD on a segmenter's logits, with the settings of its own config.
recorders = dict(logits=dict(type="mmdist.Module", source="decode_head.conv_seg"))
distiller = dict(
    type="mmrazor.ConfigurableDistiller",
    student_recorders=recorders,
    teacher_recorders=recorders,
    distill_losses=dict(loss_cwd=dict(type="mmrazor.ChannelWiseDivergence", tau=1.0, loss_weight=5.0)),
    loss_forward_mappings=dict(
        loss_cwd=dict(
            preds_S=dict(recorder="logits", from_student=True),
            preds_T=dict(recorder="logits", from_student=False),
        )
    ),
)
