# wrn-40-2 teaches wrn-40-1. No checkpoint of the teacher is published in OpenMMLab's format: train it first,
# tools/train.py configs/cifar/wrn-40-2_1xb64_240e_cifar100.py
_base_ = ["../../models/cifar/wrn_40_1.py"]
student = _base_.model
model = dict(
    _delete_=True,
    type="mmdist.SingleTeacherDistill",
    architecture=student,
    teacher="{{ fileDirname }}/../../../cifar/wrn-40-2_1xb64_240e_cifar100.py",
    teacher_ckpt=None,  # tools/train.py CONFIG --teacher-ckpt work_dirs/wrn-40-2_1xb64_240e_cifar100/epoch_240.pth
)
