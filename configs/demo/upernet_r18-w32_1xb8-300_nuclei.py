# The teacher: the student's architecture, four times as wide.
_base_ = ["upernet_r18-w8_1xb8-300_nuclei.py"]
model = dict(
    backbone=dict(stem_channels=32, base_channels=32),
    decode_head=dict(in_channels=[32, 64, 128, 256], channels=64),
    auxiliary_head=dict(in_channels=128, channels=64),
)
