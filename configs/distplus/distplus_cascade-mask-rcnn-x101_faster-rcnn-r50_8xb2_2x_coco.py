# DIST+: Cascade Mask R-CNN-X101 teaches Faster R-CNN-R50.
_base_ = [
    "../_base_/pairs/coco/cascade-mask-rcnn-x101_faster-rcnn-r50.py",
    "../_base_/distillers/distplus_roi_cls_cascade.py",
]
model = dict(
    distiller=_base_.distiller,
    acclimated=["roi_head.bbox_head.0.shared_fcs.1", "roi_head.bbox_head.0.fc_cls"],
)
optim_wrapper = _base_.teachers_rate
val_cfg = _base_.with_teacher
