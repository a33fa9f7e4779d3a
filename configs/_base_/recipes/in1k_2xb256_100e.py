# The ImageNet training of DKD's and SDD's tables: 100 epochs, SGD, lr 0.2 at a batch of 512, norms synchronised.
_base_ = [
    "mmpretrain::_base_/datasets/imagenet_bs32_pil_resize.py",
    "mmpretrain::_base_/schedules/imagenet_bs256.py",
    "mmpretrain::_base_/default_runtime.py",
]
train_dataloader = dict(batch_size=256)
optim_wrapper = dict(optimizer=dict(lr=0.2))
auto_scale_lr = dict(base_batch_size=512)
sync_bn = "torch"
