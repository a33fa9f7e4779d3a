# The student: UPerNet, ResNet-18 of base width 4 (64 in full size).
_base_ = [
    "../_base_/models/upernet_r18_demo.py",
    "../_base_/datasets/digit_scenes_seg.py",
    "../_base_/schedules/demo_iters.py",
]
default_scope = "mmseg"
model = dict(
    backbone=dict(stem_channels=8, base_channels=4),
    decode_head=dict(in_channels=[4, 8, 16, 32], channels=16),
    auxiliary_head=dict(in_channels=16, channels=16),
)
visualizer = dict(type="SegLocalVisualizer", vis_backends=_base_.vis_backends, name="visualizer")
