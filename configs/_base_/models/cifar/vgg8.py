# vgg8 (with batch norm) of the CIFAR-100 distillation tables.
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
    backbone=dict(type="mmdist.CIFARVGG", depth=8),
    neck=dict(type="GlobalAveragePooling"),
    head=dict(
        type="LinearClsHead",
        num_classes=100,
        in_channels=512,
        loss=dict(type="CrossEntropyLoss"),
    ),
)
