# What every loss of logits and labels shares: `mapping` says which of the recorders, that the files beside this one
# name, go where in the loss.
mapping = dict(
    preds_S=dict(recorder="logits", from_student=True),
    preds_T=dict(recorder="logits", from_student=False),
    gt_labels=dict(recorder="labels", from_student=True, data_idx=1),
)
distiller = dict(type="mmrazor.ConfigurableDistiller")
