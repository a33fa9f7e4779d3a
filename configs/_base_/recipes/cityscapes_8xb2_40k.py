# The Cityscapes training of CIRKD's and DIST's tables: 40k iterations at a batch of 16, lr 0.02 down to 1e-4, crops of
# 512x1024, scales 0.5 to 2. The authors differ from this in four things: scales are in steps of 0.1, pictures have the
# mean subtracted but no standard deviation divided out (the weights of MMSegmentation's backbones want both), they
# validate every 400 iterations, and report the best.
_base_ = [
    "mmseg::_base_/datasets/cityscapes.py",
    "mmseg::_base_/schedules/schedule_40k.py",
    "mmseg::_base_/default_runtime.py",
]
# Colours are not changed, and any crop is taken.
train_pipeline = [step for step in _base_.train_pipeline if step["type"] != "PhotoMetricDistortion"]
train_pipeline[3].update(cat_max_ratio=1.0)
train_dataloader = dict(batch_size=2, dataset=dict(pipeline=train_pipeline))
optim_wrapper = dict(optimizer=dict(lr=0.02))
default_hooks = dict(checkpoint=dict(save_best="mIoU"))
auto_scale_lr = dict(enable=False, base_batch_size=16)
