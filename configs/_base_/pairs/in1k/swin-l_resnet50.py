# Swin-L teaches ResNet-50. mmpretrain's teacher has 86.24 top-1; that of the tables, timm's, 86.3.
_base_ = ["mmpretrain::_base_/models/resnet50.py"]
custom_imports = dict(imports=["mmdist"], allow_failed_imports=False)
student = _base_.model
model = dict(
    _delete_=True,
    type="mmdist.SingleTeacherDistill",
    architecture=student,
    teacher="mmpretrain::swin_transformer/swin-large_16xb64_in1k.py",
    teacher_ckpt="https://download.openmmlab.com/mmclassification/v0/swin-transformer/convert/swin_large_patch4_window7_224_22kto1k-5f0996db.pth",
)
