# The wide ResNet-18 teaches the narrow one.
_base_ = ["../../../demo/resnet18-w2_1xb64-500_mnist5k.py"]
custom_imports = dict(imports=["mmdist"], allow_failed_imports=False)
student = _base_.model
model = dict(
    _delete_=True,
    type="mmdist.SingleTeacherDistill",
    architecture=student,
    teacher="{{ fileDirname }}/../../../demo/resnet18-w16_1xb64-500_mnist5k.py",
    teacher_ckpt=None,  # given on the command line: tools/train.py CONFIG --teacher-ckpt CKPT
)
