# The teacher: the student's architecture, eight times as wide in the backbone, four times in the decoder.
_base_ = ["upernet_r18-w4_1xb32-800_digits.py"]
model = dict(
    backbone=dict(stem_channels=32, base_channels=32),
    decode_head=dict(in_channels=[32, 64, 128, 256], channels=64),
    auxiliary_head=dict(in_channels=128, channels=64),
)
