# The ImageNet training of DIST's tables (B1): 100 epochs, SGD with Nesterov momentum, lr 0.1 at a batch of 256. It
# decays neither biases nor norms, which mmpretrain's does, and resizes with Pillow, as torchvision. Train the student
# by itself with the same settings before comparing.
_base_ = [
    "mmpretrain::_base_/datasets/imagenet_bs32_pil_resize.py",
    "mmpretrain::_base_/schedules/imagenet_bs256.py",
    "mmpretrain::_base_/default_runtime.py",
]
optim_wrapper = dict(
    optimizer=dict(nesterov=True),
    paramwise_cfg=dict(norm_decay_mult=0.0, bias_decay_mult=0.0),
)
