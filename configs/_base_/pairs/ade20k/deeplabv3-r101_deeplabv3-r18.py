# DeepLabV3-R101 teaches DeepLabV3-R18. MMSegmentation's teacher has 44.08 mIoU by its metafile; that of the
# papers 42.70.
_base_ = ["../../models/deeplabv3_r18-d8.py"]
custom_imports = dict(imports=["mmdist"], allow_failed_imports=False)
student = _base_.model
student.data_preprocessor.update(size=(512, 512))
student.decode_head.update(num_classes=150)
student.auxiliary_head.update(num_classes=150)
model = dict(
    _delete_=True,
    type="mmdist.SingleTeacherDistill",
    architecture=student,
    teacher="mmseg::deeplabv3/deeplabv3_r101-d8_4xb4-80k_ade20k-512x512.py",
    teacher_ckpt="https://download.openmmlab.com/mmsegmentation/v0.5/deeplabv3/deeplabv3_r101-d8_512x512_80k_ade20k/"
    "deeplabv3_r101-d8_512x512_80k_ade20k_20200615_021256-d89c7fa4.pth",
)
