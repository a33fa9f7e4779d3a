# resnet32x4 by itself: a teacher.
_base_ = ["../_base_/models/cifar/resnet32x4.py", "../_base_/recipes/cifar100_1xb64_240e.py"]
