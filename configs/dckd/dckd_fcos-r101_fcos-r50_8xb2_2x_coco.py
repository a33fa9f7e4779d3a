# DCKD: FCOS-R101 teaches FCOS-R50.
_base_ = [
    "../_base_/pairs/coco/fcos-r101_fcos-r50.py",
    "../_base_/distillers/dckd_dense_cls.py",
]
_base_.distiller.loss_forward_mappings.loss_dckd.gt_labels.data_idx = 0  # its labels come first
model = dict(distiller=_base_.distiller)
