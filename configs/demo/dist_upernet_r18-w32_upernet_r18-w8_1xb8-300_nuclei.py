# DIST from the wide UPerNet to the narrow one.
_base_ = ["upernet_r18-w8_1xb8-300_nuclei.py", "../_base_/distillers/dist_conv_seg.py"]
custom_imports = dict(imports=["mmdist"], allow_failed_imports=False)
student = _base_.model
model = dict(
    _delete_=True,
    type="mmdist.SingleTeacherDistill",
    architecture=student,
    teacher="{{ fileDirname }}/upernet_r18-w32_1xb8-300_nuclei.py",
    teacher_ckpt=None,  # given on the command line: tools/train.py CONFIG --teacher-ckpt CKPT
    distiller=_base_.distiller,
)
