# The ADE20K training of RDD's tables: 80k iterations, crops of 512x512. Label 0 is no class: it becomes 255, the others
# count from 0 (reduce_zero_label in MMSegmentation's pipeline).
_base_ = [
    "mmseg::_base_/datasets/ade20k.py",
    "../schedules/rdd_40k.py",
    "mmseg::_base_/default_runtime.py",
]
# Colours are not changed, and any crop is taken.
train_pipeline = [step for step in _base_.train_pipeline if step["type"] != "PhotoMetricDistortion"]
train_pipeline[3].update(cat_max_ratio=1.0)
train_dataloader = dict(batch_size=4, dataset=dict(pipeline=train_pipeline))
param_scheduler = [dict(type="PolyLR", power=0.9, eta_min=0.0, begin=0, end=80000, by_epoch=False)]
train_cfg = dict(max_iters=80000)
