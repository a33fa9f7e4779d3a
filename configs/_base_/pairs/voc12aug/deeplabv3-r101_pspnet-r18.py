# DeepLabV3-R101 teaches PSPNet-R18. MMSegmentation's teacher has 77.92 mIoU by its metafile; that of the
# papers 77.67.
_base_ = ["../../models/pspnet_r18-d8.py"]
custom_imports = dict(imports=["mmdist"], allow_failed_imports=False)
student = _base_.model
student.data_preprocessor.update(size=(512, 512))
student.decode_head.update(num_classes=21)
student.auxiliary_head.update(num_classes=21)
model = dict(
    _delete_=True,
    type="mmdist.SingleTeacherDistill",
    architecture=student,
    teacher="mmseg::deeplabv3/deeplabv3_r101-d8_4xb4-40k_voc12aug-512x512.py",
    teacher_ckpt="https://download.openmmlab.com/mmsegmentation/v0.5/deeplabv3/deeplabv3_r101-d8_512x512_40k_voc12aug/"
    "deeplabv3_r101-d8_512x512_40k_voc12aug_20200613_161432-0017d784.pth",
)
