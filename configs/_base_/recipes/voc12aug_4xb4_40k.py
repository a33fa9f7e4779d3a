# The VOC training of RDD's tables: VOC 2012 with the added labels of SBD, 40k iterations, crops of 512x512.
_base_ = [
    "mmseg::_base_/datasets/pascal_voc12_aug.py",
    "../schedules/rdd_40k.py",
    "mmseg::_base_/default_runtime.py",
]
# Colours are not changed, and any crop is taken.
train_pipeline = [step for step in _base_.train_pipeline if step["type"] != "PhotoMetricDistortion"]
train_pipeline[3].update(cat_max_ratio=1.0)
datasets = [dict(dataset, pipeline=train_pipeline) for dataset in (_base_.dataset_train, _base_.dataset_aug)]
train_dataloader = dict(batch_size=4, dataset=dict(datasets=datasets))
