# DIST+ from the wide ResNet-18 to the narrow one.
_base_ = ["resnet18-w2_1xb64-500_mnist5k.py", "../_base_/distillers/distplus_fc.py"]
custom_imports = dict(imports=["mmdist"], allow_failed_imports=False)
student = _base_.model
model = dict(
    _delete_=True,
    type="mmdist.SingleTeacherDistill",
    architecture=student,
    teacher="{{ fileDirname }}/resnet18-w16_1xb64-500_mnist5k.py",
    teacher_ckpt=None,  # given on the command line: tools/train.py CONFIG --teacher CKPT
    acclimated=["backbone.layer4.1.conv2", "head.fc"],
    distiller=_base_.distiller,
)
# AdamW's steps do not shrink with the gradient: at a tenth of the student's rate the teacher would be taught too much.
optim_wrapper = dict(paramwise_cfg=dict(custom_keys=dict(acclimated=dict(lr_mult=0.005, decay_mult=0.0))))
val_cfg = dict(_delete_=True, type="mmdist.DistillValLoop", teacher=True)
