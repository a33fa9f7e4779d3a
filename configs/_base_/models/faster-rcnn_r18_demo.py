# Faster R-CNN with ResNet-18 for small pictures: no pretrained weights (so no frozen stage, and norm layers that
# learn), levels of stride 4 to 32, anchors and regions as many as such pictures need.
_base_ = ["mmdet::_base_/models/faster-rcnn_r50_fpn.py"]
model = dict(
    backbone=dict(depth=18, frozen_stages=-1, norm_eval=False, init_cfg=None),
    neck=dict(num_outs=4),
    rpn_head=dict(anchor_generator=dict(scales=[4], strides=[4, 8, 16, 32])),
    roi_head=dict(
        bbox_roi_extractor=dict(featmap_strides=[4, 8, 16, 32], finest_scale=16),
        bbox_head=dict(num_classes=10),
    ),
    train_cfg=dict(
        rpn=dict(sampler=dict(num=64)),
        rpn_proposal=dict(nms_pre=200, max_per_img=100),
        rcnn=dict(sampler=dict(num=32)),
    ),
    test_cfg=dict(rpn=dict(nms_pre=100, max_per_img=50)),
)
