# DIST+: GFL-R101 teaches GFL-R50.
_base_ = [
    "../_base_/pairs/coco/gfl-r101_gfl-r50.py",
    "../_base_/distillers/distplus_dense_cls.py",
]
model = dict(distiller=_base_.distiller, acclimated=["bbox_head.cls_convs.3.conv", "bbox_head.gfl_cls"])
optim_wrapper = _base_.teachers_rate
val_cfg = _base_.with_teacher
