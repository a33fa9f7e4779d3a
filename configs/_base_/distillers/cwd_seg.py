# CWD on the logits and on the feature before the classifier, with the weights and temperature of CIRKD's tables.
_base_ = ["cwd_conv_seg.py"]
feature = dict(feature=dict(type="mmdist.Method", source="decode_head._forward_feature"))
distiller = dict(
    student_recorders=feature,
    teacher_recorders=feature,
    connectors=dict(align=dict(type="mmdist.AlignConnector")),
    distill_losses=dict(
        loss_cwd=dict(tau=4.0, loss_weight=3.0),
        loss_cwd_feature=dict(type="mmrazor.ChannelWiseDivergence", tau=4.0, loss_weight=50.0),
    ),
    loss_forward_mappings=dict(
        loss_cwd_feature=dict(
            preds_S=dict(recorder="feature", from_student=True, connector="align"),
            preds_T=dict(recorder="feature", from_student=False),
        )
    ),
)
