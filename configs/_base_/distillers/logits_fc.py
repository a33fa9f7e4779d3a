# A classifier's logits and labels.
_base_ = ["logits.py"]
logits = dict(logits=dict(type="mmdist.Module", source="head.fc"))
labels = dict(labels=dict(type="mmdist.Module", source="head.loss_module", what="inputs"))
distiller = dict(student_recorders=dict(**logits, **labels), teacher_recorders=logits)
