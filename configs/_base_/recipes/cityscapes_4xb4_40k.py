# The Cityscapes training of RDD's tables: 4 pictures a GPU, which min_kept counts over. The authors validate every 1600
# iterations and report the best; scales and normalisation differ as in cityscapes_8xb2_40k.py.
_base_ = [
    "mmseg::_base_/datasets/cityscapes.py",
    "../schedules/rdd_40k.py",
    "mmseg::_base_/default_runtime.py",
]
# Colours are not changed, and any crop is taken.
train_pipeline = [step for step in _base_.train_pipeline if step["type"] != "PhotoMetricDistortion"]
train_pipeline[3].update(cat_max_ratio=1.0)
train_dataloader = dict(batch_size=4, num_workers=4, dataset=dict(pipeline=train_pipeline))
