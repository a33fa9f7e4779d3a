"""What `make test` trains: one config a task and method. `make test-zoo` trains all."""

from __future__ import annotations

from zoo.quick_dense import QUICK as DENSE

QUICK = (
    "resnet8x4_1xb64_240e_cifar100",
    "kd_resnet32x4_resnet8x4_1xb64_240e_cifar100",
    "dkd_resnet32x4_shufflenetv2_1xb64_240e_cifar100",
    "nkd_resnet34_resnet18_8xb32_100e_in1k",
    "dist_resnet34_resnet18_8xb32_100e_in1k",
    "distplus_wrn-40-2_wrn-40-1_1xb64_240e_cifar100",
    "sdkd_resnet32x4_resnet8x4_1xb64_240e_cifar100",
    "sddkd_vgg13_vgg8_1xb64_240e_cifar100",
    "sdnkd_vgg13_mobilenetv2_1xb64_240e_cifar100",
    "dckd_resnet32x4_resnet8x4_1xb64_240e_cifar100",
    *DENSE,
)
