# resnet50 by itself: a teacher.
_base_ = ["../_base_/models/cifar/resnet50.py", "../_base_/recipes/cifar100_1xb64_240e.py"]
