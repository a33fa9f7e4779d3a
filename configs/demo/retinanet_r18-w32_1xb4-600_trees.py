# The teacher: the student's architecture, four times as wide in the backbone, twice in neck and head.
_base_ = ["retinanet_r18-w8_1xb4-600_trees.py"]
model = dict(
    backbone=dict(stem_channels=32, base_channels=32),
    neck=dict(in_channels=[32, 64, 128, 256], out_channels=64),
    bbox_head=dict(in_channels=64, feat_channels=64, stacked_convs=2),
)
