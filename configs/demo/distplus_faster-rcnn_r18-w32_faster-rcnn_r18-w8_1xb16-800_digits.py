# DIST+ from the wide Faster R-CNN to the narrow one.
_base_ = ["faster-rcnn_r18-w8_1xb16-800_digits.py", "../_base_/distillers/distplus_roi_cls.py"]
custom_imports = dict(imports=["mmdist"], allow_failed_imports=False)
student = _base_.model
model = dict(
    _delete_=True,
    type="mmdist.SingleTeacherDistill",
    architecture=student,
    teacher="{{ fileDirname }}/faster-rcnn_r18-w32_1xb16-800_digits.py",
    teacher_ckpt=None,  # given on the command line: tools/train.py CONFIG --teacher CKPT
    acclimated=["roi_head.bbox_head.shared_fcs.1", "roi_head.bbox_head.fc_cls"],
    distiller=_base_.distiller,
)
# AdamW's steps do not shrink with the gradient: at a tenth of the student's rate the teacher would be taught too much.
# The schedule ends at 0: `eta_min` is the same for every parameter, and would be more than the teacher starts with.
optim_wrapper = dict(paramwise_cfg=dict(custom_keys=dict(acclimated=dict(lr_mult=1e-3, decay_mult=0.0))))
param_scheduler = [
    dict(type="LinearLR", start_factor=0.1, by_epoch=False, begin=0, end=50),
    dict(type="PolyLR", power=0.9, eta_min=0, by_epoch=False, begin=50, end=800),
]
val_cfg = dict(_delete_=True, type="mmdist.DistillValLoop", teacher=True)
