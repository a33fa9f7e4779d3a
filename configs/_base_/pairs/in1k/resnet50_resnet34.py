# ResNet-50 teaches ResNet-34. mmpretrain's teacher has 76.55 top-1; that of the tables, torchvision's, 76.13.
_base_ = ["mmpretrain::_base_/models/resnet34.py"]
custom_imports = dict(imports=["mmdist"], allow_failed_imports=False)
student = _base_.model
model = dict(
    _delete_=True,
    type="mmdist.SingleTeacherDistill",
    architecture=student,
    teacher="mmpretrain::resnet/resnet50_8xb32_in1k.py",
    teacher_ckpt="https://download.openmmlab.com/mmclassification/v0/resnet/resnet50_8xb32_in1k_20210831-ea4938fc.pth",
)
