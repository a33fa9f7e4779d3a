# The student: UPerNet, ResNet-18 of base width 8 (64 in full size).
_base_ = [
    "../_base_/models/upernet_r18_demo.py",
    "../_base_/datasets/nuclei.py",
    "../_base_/schedules/demo_iters.py",
]
default_scope = "mmseg"
model = dict(
    data_preprocessor=dict(size=(128, 128)),
    backbone=dict(stem_channels=8, base_channels=8),
    decode_head=dict(in_channels=[8, 16, 32, 64], channels=16, num_classes=2),
    auxiliary_head=dict(in_channels=32, channels=16, num_classes=2),
)
visualizer = dict(type="SegLocalVisualizer", vis_backends=_base_.vis_backends, name="visualizer")
# 300 iterations are enough for so few pictures.
train_cfg = dict(max_iters=300, val_interval=300)
param_scheduler = [
    dict(type="LinearLR", start_factor=0.1, by_epoch=False, begin=0, end=30),
    dict(type="PolyLR", power=0.9, eta_min=1e-5, by_epoch=False, begin=30, end=300),
]
optim_wrapper = dict(optimizer=dict(lr=1e-2))
