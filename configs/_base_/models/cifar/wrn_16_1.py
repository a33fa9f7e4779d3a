# wrn_16_1 of the CIFAR-100 distillation tables.
custom_imports = dict(imports=["mmdist"], allow_failed_imports=False)
model = dict(
    type="ImageClassifier",
    data_preprocessor=dict(
        type="ClsDataPreprocessor",
        num_classes=100,
        mean=[129.3105, 124.1085, 112.404],
        std=[68.2125, 65.4075, 70.4055],
        to_rgb=False,  # the dataset's pictures are RGB already
    ),
    backbone=dict(type="mmdist.CIFARWideResNet", depth=16, widen_factor=1),
    neck=dict(type="GlobalAveragePooling"),
    head=dict(
        type="LinearClsHead",
        num_classes=100,
        in_channels=64,
        loss=dict(type="CrossEntropyLoss"),
        # weights as torch's own, biases 0, as in the original code
        init_cfg=dict(
            type="Kaiming",
            layer="Linear",
            a=5**0.5,
            mode="fan_in",
            nonlinearity="leaky_relu",
            distribution="uniform",
        ),
    ),
)
