# The CIFAR-100 training of the distillation tables.
_base_ = [
    "../datasets/cifar100_bs64.py",
    "../schedules/cifar_240e.py",
    "mmpretrain::_base_/default_runtime.py",
]
