# vgg8 by itself: a student without a teacher.
_base_ = ["../_base_/models/cifar/vgg8.py", "../_base_/recipes/cifar100_1xb64_240e.py"]
