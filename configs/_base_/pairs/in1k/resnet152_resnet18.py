# ResNet-152 teaches ResNet-18. mmpretrain's teacher has 78.48 top-1; that of the tables, torchvision's, 78.31.
_base_ = ["mmpretrain::_base_/models/resnet18.py"]
custom_imports = dict(imports=["mmdist"], allow_failed_imports=False)
student = _base_.model
model = dict(
    _delete_=True,
    type="mmdist.SingleTeacherDistill",
    architecture=student,
    teacher="mmpretrain::resnet/resnet152_8xb32_in1k.py",
    teacher_ckpt="https://download.openmmlab.com/mmclassification/v0/resnet/resnet152_8xb32_in1k_20210901-4d7582fa.pth",
)
