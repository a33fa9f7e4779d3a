# The student: Faster R-CNN, ResNet-18 of base width 8 (64 in full size).
_base_ = [
    "../_base_/models/faster-rcnn_r18_demo.py",
    "../_base_/datasets/digit_scenes_det.py",
    "../_base_/schedules/demo_iters.py",
]
default_scope = "mmdet"
model = dict(
    backbone=dict(stem_channels=8, base_channels=8),
    neck=dict(in_channels=[8, 16, 32, 64], out_channels=32),
    rpn_head=dict(in_channels=32, feat_channels=32),
    roi_head=dict(
        bbox_roi_extractor=dict(out_channels=32),
        bbox_head=dict(in_channels=32, fc_out_channels=64),
    ),
)
train_dataloader = dict(batch_size=16)
visualizer = dict(type="DetLocalVisualizer", vis_backends=_base_.vis_backends, name="visualizer")
optim_wrapper = dict(optimizer=dict(lr=4e-3), clip_grad=dict(max_norm=10))
