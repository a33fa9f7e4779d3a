# The strong ImageNet training of DIST's tables (B2): 450 epochs at a batch of 768, RMSProp, RandAugment, random
# erasing, label smoothing (task_loss, for the config to use), moving average of the weights.
#
# The authors train with TensorFlow's RMSProp, which torch does not have. It adds eps 1e-3 below the root, and starts
# from mean squares of 1: torch's adds the root of it outside and starts from 0, and differs in the first iterations.
# They also drop out a fifth of the features before the classifier, for which mmpretrain's LinearClsHead has no option.
_base_ = [
    "mmpretrain::_base_/datasets/imagenet_bs64_swin_224.py",
    "mmpretrain::_base_/default_runtime.py",
]
train_pipeline = _base_.train_pipeline
train_pipeline[4].update(erase_prob=0.2)
train_dataloader = dict(batch_size=96, dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(batch_size=96)
test_dataloader = dict(batch_size=96)
task_loss = dict(type="LabelSmoothLoss", label_smooth_val=0.1, mode="original")
optim_wrapper = dict(
    optimizer=dict(type="RMSprop", lr=0.048, alpha=0.9, eps=1e-3**0.5, momentum=0.9, weight_decay=1e-5),
    paramwise_cfg=dict(norm_decay_mult=0.0, bias_decay_mult=0.0),
)
iterations = 1668  # an epoch: 1,281,167 pictures at a batch of 768
param_scheduler = [
    dict(type="LinearLR", start_factor=1e-6 / 0.048, by_epoch=False, end=3 * iterations),
    dict(type="StepLR", step_size=round(2.4 * iterations), gamma=0.97, by_epoch=False),
]
train_cfg = dict(by_epoch=True, max_epochs=450, val_interval=1)
val_cfg = dict()
test_cfg = dict()
custom_hooks = [dict(type="EMAHook", momentum=1e-4, update_buffers=True, priority="ABOVE_NORMAL")]
auto_scale_lr = dict(base_batch_size=768)
