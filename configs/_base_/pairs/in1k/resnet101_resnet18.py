# ResNet-101 teaches ResNet-18. mmpretrain's teacher has 77.97 top-1; that of the tables, torchvision's, 77.37.
_base_ = ["mmpretrain::_base_/models/resnet18.py"]
custom_imports = dict(imports=["mmdist"], allow_failed_imports=False)
student = _base_.model
model = dict(
    _delete_=True,
    type="mmdist.SingleTeacherDistill",
    architecture=student,
    teacher="mmpretrain::resnet/resnet101_8xb32_in1k.py",
    teacher_ckpt="https://download.openmmlab.com/mmclassification/v0/resnet/resnet101_8xb32_in1k_20210831-539c63f8.pth",
)
