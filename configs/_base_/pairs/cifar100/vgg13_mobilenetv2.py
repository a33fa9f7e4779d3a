# vgg13 teaches mobilenetv2. No checkpoint of the teacher is published in OpenMMLab's format: train it first,
# tools/train.py configs/cifar/vgg13_1xb64_240e_cifar100.py
_base_ = ["../../models/cifar/mobilenetv2.py"]
student = _base_.model
model = dict(
    _delete_=True,
    type="mmdist.SingleTeacherDistill",
    architecture=student,
    teacher="{{ fileDirname }}/../../../cifar/vgg13_1xb64_240e_cifar100.py",
    teacher_ckpt=None,  # tools/train.py CONFIG --teacher-ckpt work_dirs/vgg13_1xb64_240e_cifar100/epoch_240.pth
)
