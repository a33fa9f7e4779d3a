# UPerNet with ResNet-18 for small pictures, trained from nothing on a short schedule: no pretrained weights, and
# residual branches that take part from the start.
_base_ = ["mmseg::_base_/models/upernet_r50.py"]
norm_cfg = dict(type="BN", requires_grad=True)
model = dict(
    pretrained=None,
    data_preprocessor=dict(size=(64, 64)),
    backbone=dict(depth=18, norm_cfg=norm_cfg, zero_init_residual=False),
    decode_head=dict(num_classes=11, norm_cfg=norm_cfg),
    auxiliary_head=dict(num_classes=11, norm_cfg=norm_cfg),
)
