# RDD: SegFormer-B3 teaches SegFormer-B0, and weighs its task loss. It has no auxiliary head:
# the first stage goes by how sure it is (ours).
_base_ = [
    "../_base_/pairs/ade20k/segformer-b3_segformer-b0.py",
    "../_base_/distillers/kd_conv_seg_all.py",
    "../_base_/weightings/rdd.py",
]
model = dict(distiller=_base_.distiller, weighting=dict(_base_.weighting, first_stage="entropy"))
