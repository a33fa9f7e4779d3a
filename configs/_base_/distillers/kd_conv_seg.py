# KD on a segmenter's logits, before they are upsampled: the mean over the pixels that count.
recorders = dict(logits=dict(type="mmdist.Module", source="decode_head.conv_seg"))
labels = dict(labels=dict(type="mmdist.Module", source="decode_head.loss_decode", what="inputs"))
distiller = dict(
    type="mmrazor.ConfigurableDistiller",
    student_recorders=dict(**recorders, **labels),
    teacher_recorders=recorders,
    distill_losses=dict(loss_kd=dict(type="mmdist.KDLoss", tau=1.0, loss_weight=1.0)),
    loss_forward_mappings=dict(
        loss_kd=dict(
            preds_S=dict(recorder="logits", from_student=True),
            preds_T=dict(recorder="logits", from_student=False),
            gt_labels=dict(recorder="labels", from_student=True, data_idx=1),
        )
    ),
)
