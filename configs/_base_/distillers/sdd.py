# What SDD is on every task: the recorded feature, pooled to regions and classified by the model's own classifier, on
# both sides by one connector. The files beside it say where `feature` and `labels` are recorded.
mapping = dict(
    preds_S=dict(recorder="feature", from_student=True, connector="regions"),
    preds_T=dict(recorder="feature", from_student=False, connector="regions"),
    gt_labels=dict(recorder="labels", from_student=True, data_idx=1),
)
distiller = dict(
    type="mmrazor.ConfigurableDistiller",
    connectors=dict(regions=dict(type="mmdist.SDDHead")),
    loss_forward_mappings=dict(loss_sdd=mapping),
)
