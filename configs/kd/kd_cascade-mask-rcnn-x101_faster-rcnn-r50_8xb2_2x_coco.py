# KD: Cascade Mask R-CNN-X101 teaches Faster R-CNN-R50.
_base_ = [
    "../_base_/pairs/coco/cascade-mask-rcnn-x101_faster-rcnn-r50.py",
    "../_base_/distillers/kd_roi_cls_cascade.py",
]
model = dict(distiller=_base_.distiller)
