# The teacher: the student's architecture, eight times as wide.
_base_ = ["resnet18-w2_1xb64-500_mnist5k.py"]
model = dict(backbone=dict(stem_channels=16, base_channels=16), head=dict(in_channels=128))
