# Cascade Mask R-CNN-X101 (45.6 AP) teaches Faster R-CNN-R50, with MMDetection's 2x training, which is that of DIST's
# tables. Of the teacher only backbone, neck and the first stage's box head ever run.
_base_ = ["mmdet::faster_rcnn/faster-rcnn_r50_fpn_2x_coco.py"]
custom_imports = dict(imports=["mmdist"], allow_failed_imports=False)
student = _base_.model
model = dict(
    _delete_=True,
    type="mmdist.SingleTeacherDistill",
    architecture=student,
    teacher="mmdet::cascade_rcnn/cascade-mask-rcnn_x101-64x4d_fpn_20e_coco.py",
    teacher_ckpt="https://download.openmmlab.com/mmdetection/v2.0/cascade_rcnn/cascade_mask_rcnn_x101_64x4d_fpn_20e_coco/"
    "cascade_mask_rcnn_x101_64x4d_fpn_20e_coco_20200512_161033-bdb5126a.pth",
)
