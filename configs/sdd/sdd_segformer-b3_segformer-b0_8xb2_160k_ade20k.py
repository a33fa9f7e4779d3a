# SDD: SegFormer-B3 teaches SegFormer-B0.
_base_ = [
    "../_base_/pairs/ade20k/segformer-b3_segformer-b0.py",
    "../_base_/distillers/sdd_conv_seg.py",
]
model = dict(distiller=_base_.distiller)
