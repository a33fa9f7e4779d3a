# DeepLabV3-R101 teaches PSPNet-R18 on CamVid, where label 11 is no class. No checkpoint of the teacher is
# published in OpenMMLab's format: train it first, tools/train.py configs/camvid/deeplabv3-r101_4xb4_40k_camvid.py
_base_ = ["../../models/pspnet_r18-d8.py"]
custom_imports = dict(imports=["mmdist"], allow_failed_imports=False)
student = _base_.model
student.data_preprocessor.update(size=(360, 360), seg_pad_val=11)
student.decode_head.update(num_classes=11, ignore_index=11)
student.auxiliary_head.update(num_classes=11, ignore_index=11)
model = dict(
    _delete_=True,
    type="mmdist.SingleTeacherDistill",
    architecture=student,
    teacher="{{ fileDirname }}/../../../camvid/deeplabv3-r101_4xb4_40k_camvid.py",
    teacher_ckpt=None,  # tools/train.py CONFIG --teacher-ckpt work_dirs/deeplabv3-r101_4xb4_40k_camvid/iter_40000.pth
)
