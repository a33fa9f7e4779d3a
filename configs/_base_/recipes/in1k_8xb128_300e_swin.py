# The Swin training of DIST's tables (B3): 300 epochs at a batch of 1024, AdamW at 5e-4 (mmpretrain: 1e-3), cosine; the
# augmentation of B2, and colour jitter. Mixup and CutMix are in mmpretrain's config of the student; the warm-up, the
# share of pictures that are erased and the clipping of gradients are mmpretrain's.
_base_ = [
    "mmpretrain::_base_/datasets/imagenet_bs64_swin_224.py",
    "mmpretrain::_base_/schedules/imagenet_bs1024_adamw_swin.py",
    "mmpretrain::_base_/default_runtime.py",
]
train_pipeline = _base_.train_pipeline
train_pipeline.insert(3, dict(type="ColorJitter", brightness=0.4, contrast=0.4, saturation=0.4))
train_dataloader = dict(batch_size=128, dataset=dict(pipeline=train_pipeline))
optim_wrapper = dict(optimizer=dict(lr=5e-4), clip_grad=dict(max_norm=5.0))
# The end is a share of every parameter's own rate: 1e-5 for the student's.
param_scheduler = [
    dict(type="LinearLR", start_factor=1e-3, by_epoch=True, end=20, convert_to_iter_based=True),
    dict(type="CosineAnnealingLR", eta_min_ratio=0.02, by_epoch=True, begin=20),
]
