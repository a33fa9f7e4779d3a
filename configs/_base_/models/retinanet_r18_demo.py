# RetinaNet with ResNet-18 for small pictures: no pretrained weights (so no frozen stage, and norm layers that learn),
# levels of stride 4 to 32.
_base_ = ["mmdet::_base_/models/retinanet_r50_fpn.py"]
model = dict(
    backbone=dict(depth=18, frozen_stages=-1, norm_eval=False, init_cfg=None),
    neck=dict(start_level=0, add_extra_convs=False, num_outs=4),
    bbox_head=dict(num_classes=10, anchor_generator=dict(strides=[4, 8, 16, 32])),
)
