# CWD from the wide UPerNet to the narrow one.
_base_ = ["upernet_r18-w4_1xb32-800_digits.py", "../_base_/distillers/cwd_conv_seg.py"]
custom_imports = dict(imports=["mmdist"], allow_failed_imports=False)
student = _base_.model
model = dict(
    _delete_=True,
    type="mmdist.SingleTeacherDistill",
    architecture=student,
    teacher="{{ fileDirname }}/upernet_r18-w32_1xb32-800_digits.py",
    teacher_ckpt=None,  # given on the command line: tools/train.py CONFIG --teacher CKPT
    distiller=_base_.distiller,
)
