# wrn-40-2 by itself: a teacher.
_base_ = ["../_base_/models/cifar/wrn_40_2.py", "../_base_/recipes/cifar100_1xb64_240e.py"]
