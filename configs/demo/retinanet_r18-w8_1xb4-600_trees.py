# The student: RetinaNet, ResNet-18 of base width 8 (64 in full size), one convolution in the head.
_base_ = [
    "../_base_/models/retinanet_r18_demo.py",
    "../_base_/datasets/trees.py",
    "../_base_/schedules/demo_iters.py",
]
default_scope = "mmdet"
model = dict(
    backbone=dict(stem_channels=8, base_channels=8),
    neck=dict(in_channels=[8, 16, 32, 64], out_channels=32),
    bbox_head=dict(num_classes=1, in_channels=32, feat_channels=32, stacked_convs=1),
)
visualizer = dict(type="DetLocalVisualizer", vis_backends=_base_.vis_backends, name="visualizer")
train_cfg = dict(max_iters=600, val_interval=600)
param_scheduler = [
    dict(type="LinearLR", start_factor=0.1, by_epoch=False, begin=0, end=30),
    dict(type="PolyLR", power=0.9, eta_min=1e-5, by_epoch=False, begin=30, end=600),
]
optim_wrapper = dict(optimizer=dict(lr=3e-3), clip_grad=dict(max_norm=10))
