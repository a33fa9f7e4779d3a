# shufflenetv1 by itself: a student without a teacher.
_base_ = ["../_base_/models/cifar/shufflenetv1.py", "../_base_/recipes/cifar100_1xb64_240e_small-nets.py"]
