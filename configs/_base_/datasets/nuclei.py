# Nuclei, segmentation: background and nucleus, tiles of 128x128 pixels of one microscopy image; label 255 (outlines) is
# ignored. Made by tools/dataset_converters/nuclei.py.
_base_ = ["digit_scenes_seg.py"]
data_root = "data/nuclei/"
metainfo = dict(classes=("background", "nucleus"), palette=[[0, 0, 0], [230, 25, 75]])
train_pipeline = [
    dict(type="LoadImageFromFile"),
    dict(type="LoadAnnotations"),
    dict(type="RandomFlip", prob=[0.4, 0.4], direction=["horizontal", "vertical"]),
    dict(type="PackSegInputs"),
]
train_dataloader = dict(batch_size=8, dataset=dict(data_root=data_root, metainfo=metainfo, pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(data_root=data_root, metainfo=metainfo))
test_dataloader = val_dataloader
