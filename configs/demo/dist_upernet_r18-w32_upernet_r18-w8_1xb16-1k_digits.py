# DIST on the logits before upsampling, from the wide UPerNet to the narrow one.
_base_ = ["upernet_r18-w8_1xb16-1k_digits.py"]
custom_imports = dict(imports=["mmdist"], allow_failed_imports=False)
student = _base_.model
recorders = dict(logits=dict(type="mmrazor.ModuleOutputs", source="decode_head.conv_seg"))
model = dict(
    _delete_=True,
    type="mmdist.SingleTeacherDistill",
    architecture=student,
    teacher="{{ fileDirname }}/upernet_r18-w32_1xb16-1k_digits.py",
    teacher_ckpt=None,  # the demo passes it: tools/train.py --teacher CKPT
    distiller=dict(
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
    ),
)
