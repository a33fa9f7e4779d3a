# Aerial trees, detection: one class, tiles of 400x400 pixels scaled to 256x256.
# Made by tools/dataset_converters/trees.py.
_base_ = ["digit_scenes_det.py"]
data_root = "data/trees/"
metainfo = dict(classes=("tree",))
train_pipeline = [
    dict(type="LoadImageFromFile"),
    dict(type="LoadAnnotations", with_bbox=True),
    # One photograph gives nearly all of these tiles: unless colours and sizes vary, other photographs stay strange.
    dict(type="RandomResize", scale=(256, 256), ratio_range=(0.8, 1.6), keep_ratio=True),
    dict(type="RandomCrop", crop_size=(256, 256)),
    dict(type="RandomFlip", prob=[0.4, 0.4], direction=["horizontal", "vertical"]),
    dict(type="PhotoMetricDistortion", contrast_range=(0.6, 1.4), saturation_range=(0.5, 1.5)),
    dict(type="PackDetInputs"),
]
test_pipeline = [
    dict(type="LoadImageFromFile"),
    dict(type="Resize", scale=(256, 256), keep_ratio=True),
    dict(type="LoadAnnotations", with_bbox=True),
    dict(type="PackDetInputs", meta_keys=("img_id", "img_path", "ori_shape", "img_shape", "scale_factor")),
]
train_dataloader = dict(batch_size=4, dataset=dict(data_root=data_root, metainfo=metainfo, pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(data_root=data_root, metainfo=metainfo, pipeline=test_pipeline))
test_dataloader = val_dataloader
val_evaluator = dict(ann_file=data_root + "annotations/instances_val.json")
test_evaluator = val_evaluator
