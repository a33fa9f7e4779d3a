# The schedule of RDD's released scripts: 40k iterations in mixed precision, lr 0.02 down to 0, weight decay 1e-4. (The
# paper has a weight decay of 5e-4.)
_base_ = ["mmseg::_base_/schedules/schedule_40k.py"]
optim_wrapper = dict(type="AmpOptimWrapper", optimizer=dict(lr=0.02, weight_decay=1e-4))
param_scheduler = [dict(type="PolyLR", power=0.9, eta_min=0.0, begin=0, end=40000, by_epoch=False)]
default_hooks = dict(checkpoint=dict(save_best="mIoU"))
auto_scale_lr = dict(enable=False, base_batch_size=16)
