# ResNet-34 teaches ResNet-18. mmpretrain's teacher has 73.62 top-1; that of the tables, torchvision's, 73.31.
_base_ = ["mmpretrain::_base_/models/resnet18.py"]
custom_imports = dict(imports=["mmdist"], allow_failed_imports=False)
student = _base_.model
model = dict(
    _delete_=True,
    type="mmdist.SingleTeacherDistill",
    architecture=student,
    teacher="mmpretrain::resnet/resnet34_8xb32_in1k.py",
    teacher_ckpt="https://download.openmmlab.com/mmclassification/v0/resnet/resnet34_8xb32_in1k_20210831-f257d4e6.pth",
)
