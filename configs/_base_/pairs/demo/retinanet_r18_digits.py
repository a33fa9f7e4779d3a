# The wide RetinaNet teaches the narrow one.
_base_ = ["../../../demo/retinanet_r18-w8_1xb32-800_digits.py"]
custom_imports = dict(imports=["mmdist"], allow_failed_imports=False)
student = _base_.model
model = dict(
    _delete_=True,
    type="mmdist.SingleTeacherDistill",
    architecture=student,
    teacher="{{ fileDirname }}/../../../demo/retinanet_r18-w32_1xb32-800_digits.py",
    teacher_ckpt=None,  # given on the command line: tools/train.py CONFIG --teacher-ckpt CKPT
)
