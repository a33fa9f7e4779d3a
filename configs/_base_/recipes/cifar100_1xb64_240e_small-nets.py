# The same for MobileNetV2 and the ShuffleNets as students: they start from a fifth of the learning rate.
_base_ = ["cifar100_1xb64_240e.py"]
optim_wrapper = dict(optimizer=dict(lr=0.01))
