# UPerNet with ResNet-18 for the demo's small pictures, of any width: a quarter of the usual decoder, no pretrained
# weights. `base_channels` is the width of the backbone's first stage (64 in the full-size ResNet-18).
_base_ = ['mmseg::_base_/models/upernet_r50.py']
norm_cfg = dict(type='BN', requires_grad=True)
model = dict(
    pretrained=None,
    data_preprocessor=dict(size=(64, 64)),
    backbone=dict(depth=18, norm_cfg=norm_cfg),
    decode_head=dict(num_classes=11, norm_cfg=norm_cfg),
    auxiliary_head=dict(num_classes=11, norm_cfg=norm_cfg))
