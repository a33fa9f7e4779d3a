# GFL-R101 teaches GFL-R50, with MMDetection's 1x training of the student.
_base_ = ["mmdet::gfl/gfl_r50_fpn_1x_coco.py"]
custom_imports = dict(imports=["mmdist"], allow_failed_imports=False)
student = _base_.model
model = dict(
    _delete_=True,
    type="mmdist.SingleTeacherDistill",
    architecture=student,
    teacher="mmdet::gfl/gfl_r101_fpn_ms-2x_coco.py",
    teacher_ckpt="https://download.openmmlab.com/mmdetection/v2.0/gfl/gfl_r101_fpn_mstrain_2x_coco/"
    "gfl_r101_fpn_mstrain_2x_coco_20200629_200126-dd12f847.pth",
)
