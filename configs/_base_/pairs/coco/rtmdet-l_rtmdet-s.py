# RTMDet-l teaches RTMDet-s, with MMDetection's own training of the student.
_base_ = ["mmdet::rtmdet/rtmdet_s_8xb32-300e_coco.py"]
custom_imports = dict(imports=["mmdist"], allow_failed_imports=False)
student = _base_.model
model = dict(
    _delete_=True,
    type="mmdist.SingleTeacherDistill",
    architecture=student,
    teacher="mmdet::rtmdet/rtmdet_l_8xb32-300e_coco.py",
    teacher_ckpt="https://download.openmmlab.com/mmdetection/v3.0/rtmdet/rtmdet_l_8xb32-300e_coco/"
    "rtmdet_l_8xb32-300e_coco_20220719_112030-5a0be7c4.pth",
)
auto_scale_lr = dict(base_batch_size=256)  # MMDetection's config inherits 16, and its rate is for 8 x 32 pictures
