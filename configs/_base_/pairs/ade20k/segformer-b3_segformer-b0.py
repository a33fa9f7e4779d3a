# SegFormer-B3 teaches SegFormer-B0, with MMSegmentation's own training of the student. Neither has an auxiliary head.
_base_ = ["mmseg::segformer/segformer_mit-b0_8xb2-160k_ade20k-512x512.py"]
custom_imports = dict(imports=["mmdist"], allow_failed_imports=False)
student = _base_.model
model = dict(
    _delete_=True,
    type="mmdist.SingleTeacherDistill",
    architecture=student,
    teacher="mmseg::segformer/segformer_mit-b3_8xb2-160k_ade20k-512x512.py",
    teacher_ckpt="https://download.openmmlab.com/mmsegmentation/v0.5/segformer/segformer_mit-b3_512x512_160k_ade20k/"
    "segformer_mit-b3_512x512_160k_ade20k_20210726_081410-962b98d2.pth",
)
auto_scale_lr = dict(enable=False, base_batch_size=16)
