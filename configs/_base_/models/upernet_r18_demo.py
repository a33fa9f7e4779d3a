# UPerNet with ResNet-18 for small pictures: no pretrained weights, the size of picture and classes of the data set.
_base_ = ["mmseg::_base_/models/upernet_r50.py"]
norm_cfg = dict(type="BN", requires_grad=True)
model = dict(
    pretrained=None,
    data_preprocessor=dict(size=(64, 64)),
    backbone=dict(depth=18, norm_cfg=norm_cfg),
    decode_head=dict(num_classes=11, norm_cfg=norm_cfg),
    auxiliary_head=dict(num_classes=11, norm_cfg=norm_cfg),
)
