# The student: CIFAR-style ResNet-18 of base width 2 (64 in full size).
_base_ = [
    "mmpretrain::_base_/models/resnet18_cifar.py",
    "../_base_/datasets/mnist5k.py",
    "../_base_/schedules/demo_iters.py",
]
default_scope = "mmpretrain"
model = dict(backbone=dict(stem_channels=2, base_channels=2), head=dict(in_channels=16))
visualizer = dict(type="UniversalVisualizer", vis_backends=_base_.vis_backends)
# 500 iterations, 8 epochs.
train_cfg = dict(max_iters=500, val_interval=500)
param_scheduler = [
    dict(type="LinearLR", start_factor=0.1, by_epoch=False, begin=0, end=50),
    dict(type="PolyLR", power=0.9, eta_min=1e-5, by_epoch=False, begin=50, end=500),
]
optim_wrapper = dict(optimizer=dict(lr=4e-3))
