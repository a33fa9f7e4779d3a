# ResNet-50 (strong) teaches ResNet-18. mmpretrain's teacher has 80.12 top-1 and was trained with a
# binary cross entropy for each class; that of the tables, timm's, has 80.1.
_base_ = ["mmpretrain::_base_/models/resnet18.py"]
custom_imports = dict(imports=["mmdist"], allow_failed_imports=False)
student = _base_.model
model = dict(
    _delete_=True,
    type="mmdist.SingleTeacherDistill",
    architecture=student,
    teacher="mmpretrain::resnet/resnet50_8xb256-rsb-a1-600e_in1k.py",
    teacher_ckpt="https://download.openmmlab.com/mmclassification/v0/resnet/resnet50_8xb256-rsb-a1-600e_in1k_20211228-20e21305.pth",
)
