# ResNet50 of the CIFAR-100 distillation tables: mmpretrain's, but residual branches that take part from the start.
_base_ = ["mmpretrain::_base_/models/resnet50_cifar.py"]
model = dict(
    data_preprocessor=dict(
        type="ClsDataPreprocessor",
        num_classes=100,
        mean=[129.3105, 124.1085, 112.404],
        std=[68.2125, 65.4075, 70.4055],
        to_rgb=False,  # the dataset's pictures are RGB already
    ),
    backbone=dict(zero_init_residual=False),
    head=dict(num_classes=100, init_cfg=None),  # torch's own, as in the original code
)
