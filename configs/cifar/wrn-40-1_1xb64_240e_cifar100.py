# wrn-40-1 by itself: a student without a teacher.
_base_ = ["../_base_/models/cifar/wrn_40_1.py", "../_base_/recipes/cifar100_1xb64_240e.py"]
