# MobileNetV1 of the ImageNet distillation tables; SDD's configs call it MobileNetV2.
custom_imports = dict(imports=["mmdist"], allow_failed_imports=False)
model = dict(
    type="ImageClassifier",
    backbone=dict(type="mmdist.MobileNetV1"),
    neck=dict(type="GlobalAveragePooling"),
    head=dict(
        type="LinearClsHead",
        num_classes=1000,
        in_channels=1024,
        loss=dict(type="CrossEntropyLoss"),
        topk=(1, 5),
        init_cfg=None,  # torch's own, as in the original code
    ),
)
