# MMSegmentation's DeepLabV3-R101 for CamVid, where label 11 is no class.
_base_ = ["mmseg::_base_/models/deeplabv3_r50-d8.py"]
head = dict(num_classes=11, ignore_index=11, align_corners=True)
model = dict(
    pretrained="open-mmlab://resnet101_v1c",
    backbone=dict(depth=101),
    data_preprocessor=dict(size=(360, 360), seg_pad_val=11),
    decode_head=head,
    auxiliary_head=head,
)
