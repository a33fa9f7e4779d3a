# mmpretrain's plain ImageNet training: 100 epochs, SGD, lr 0.1 at a batch of 256.
_base_ = [
    "mmpretrain::_base_/datasets/imagenet_bs32.py",
    "mmpretrain::_base_/schedules/imagenet_bs256.py",
    "mmpretrain::_base_/default_runtime.py",
]
