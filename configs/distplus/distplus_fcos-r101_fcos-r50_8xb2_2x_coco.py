# DIST+: FCOS-R101 teaches FCOS-R50.
_base_ = [
    "../_base_/pairs/coco/fcos-r101_fcos-r50.py",
    "../_base_/distillers/distplus_dense_cls.py",
]
_base_.distiller.loss_forward_mappings.loss_teacher.gt_labels.data_idx = 0  # its labels come first
model = dict(distiller=_base_.distiller, acclimated=["bbox_head.cls_convs.3.conv", "bbox_head.conv_cls"])
optim_wrapper = _base_.teachers_rate
val_cfg = _base_.with_teacher
