# DIST+: Cascade Mask R-CNN-X101 teaches Faster R-CNN-R50.
_base_ = [
    "../_base_/pairs/coco/cascade-mask-rcnn-x101_faster-rcnn-r50.py",
    "../_base_/distillers/distplus_roi_cls_cascade.py",
]
model = dict(
    distiller=_base_.distiller,
    acclimated=["roi_head.bbox_head.0.shared_fcs.1", "roi_head.bbox_head.0.fc_cls"],
)
optim_wrapper = dict(paramwise_cfg=dict(custom_keys=dict(acclimated=dict(lr_mult=0.1, decay_mult=0.0))))
val_cfg = dict(type="mmdist.DistillValLoop", teacher=True)
