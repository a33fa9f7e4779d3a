# The teacher: the student's architecture, four times as wide in the backbone, twice in neck and heads.
_base_ = ["faster-rcnn_r18-w8_1xb16-800_digits.py"]
model = dict(
    backbone=dict(stem_channels=32, base_channels=32),
    neck=dict(in_channels=[32, 64, 128, 256], out_channels=64),
    rpn_head=dict(in_channels=64, feat_channels=64),
    roi_head=dict(
        bbox_roi_extractor=dict(out_channels=64),
        bbox_head=dict(in_channels=64, fc_out_channels=256),
    ),
)
