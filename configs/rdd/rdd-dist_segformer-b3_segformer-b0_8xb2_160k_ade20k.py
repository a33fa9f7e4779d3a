# RDD and DIST: SegFormer-B3 teaches SegFormer-B0.
_base_ = [
    "../_base_/pairs/ade20k/segformer-b3_segformer-b0.py",
    "../_base_/distillers/dist_conv_seg.py",
    "../_base_/weightings/rdd.py",
]
model = dict(distiller=_base_.distiller, weighting=dict(_base_.weighting, first_stage="entropy"))
