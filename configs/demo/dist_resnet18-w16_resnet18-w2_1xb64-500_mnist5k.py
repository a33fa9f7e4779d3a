# DIST from the wide ResNet-18 to the narrow one.
_base_ = ["resnet18-w2_1xb64-500_mnist5k.py", "../_base_/distillers/dist_fc.py"]
custom_imports = dict(imports=["mmdist"], allow_failed_imports=False)
student = _base_.model
model = dict(
    _delete_=True,
    type="mmdist.SingleTeacherDistill",
    architecture=student,
    teacher="{{ fileDirname }}/resnet18-w16_1xb64-500_mnist5k.py",
    teacher_ckpt=None,  # given on the command line: tools/train.py CONFIG --teacher CKPT
    distiller=_base_.distiller,
)
