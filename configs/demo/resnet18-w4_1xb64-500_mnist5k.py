# The student: CIFAR-style ResNet-18 of base width 4 (64 in full size).
_base_ = [
    "mmpretrain::_base_/models/resnet18_cifar.py",
    "../_base_/datasets/mnist5k.py",
    "../_base_/schedules/demo_iters.py",
]
default_scope = "mmpretrain"
model = dict(backbone=dict(stem_channels=4, base_channels=4), head=dict(in_channels=32))
visualizer = dict(type="UniversalVisualizer", vis_backends=_base_.vis_backends)
