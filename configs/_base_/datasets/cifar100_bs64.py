# CIFAR-100 as in the distillation tables: batches of 64 on one GPU, crops of 32x32 from a border of 4 black pixels,
# flips, mean and standard deviation of the literature.
_base_ = ["mmpretrain::_base_/datasets/cifar100_bs16.py"]
data_preprocessor = dict(mean=[129.3105, 124.1085, 112.404], std=[68.2125, 65.4075, 70.4055])
train_dataloader = dict(batch_size=64)
val_dataloader = dict(batch_size=64)
test_dataloader = dict(batch_size=64)
