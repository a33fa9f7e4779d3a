# MNIST 5k: 28x28 grey digits, ten classes. Made by tools/dataset_converters/mnist5k.py.
dataset_type = "CustomDataset"
data_root = "data/mnist5k/"
data_preprocessor = dict(num_classes=10, mean=[33.3, 33.3, 33.3], std=[78.6, 78.6, 78.6], to_rgb=False)
train_pipeline = [
    dict(type="LoadImageFromFile"),
    dict(type="RandomCrop", crop_size=28, padding=3),
    dict(type="PackInputs"),
]
test_pipeline = [dict(type="LoadImageFromFile"), dict(type="PackInputs")]
train_dataloader = dict(
    batch_size=64,
    num_workers=0,
    persistent_workers=False,
    sampler=dict(type="InfiniteSampler", shuffle=True),
    dataset=dict(type=dataset_type, data_root=data_root, data_prefix="train", with_label=True, pipeline=train_pipeline),
)
val_dataloader = dict(
    batch_size=250,
    num_workers=0,
    persistent_workers=False,
    sampler=dict(type="DefaultSampler", shuffle=False),
    dataset=dict(type=dataset_type, data_root=data_root, data_prefix="val", with_label=True, pipeline=test_pipeline),
)
test_dataloader = val_dataloader
val_evaluator = dict(type="Accuracy", topk=(1,))
test_evaluator = val_evaluator
