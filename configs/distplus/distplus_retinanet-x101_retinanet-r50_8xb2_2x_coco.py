# DIST+: RetinaNet-X101 teaches RetinaNet-R50.
_base_ = [
    "../_base_/pairs/coco/retinanet-x101_retinanet-r50.py",
    "../_base_/distillers/distplus_retina_coco.py",
]
model = dict(distiller=_base_.distiller, acclimated=["bbox_head.cls_convs.3.conv", "bbox_head.retina_cls"])
optim_wrapper = _base_.teachers_rate
val_cfg = _base_.with_teacher
