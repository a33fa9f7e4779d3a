# SD-NKD: Swin-L teaches Swin-T.
_base_ = [
    "../_base_/pairs/in1k/swin-l_swin-t.py",
    "../_base_/recipes/in1k_8xb128_300e_swin.py",
    "../_base_/distillers/sdd_zoo.py",
]
model = _base_.pop("sdd_zoo")["swin-l_swin-t"]["sdnkd"]
