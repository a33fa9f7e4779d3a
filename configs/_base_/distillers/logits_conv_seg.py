# A segmenter's logits, before they are upsampled, and its label map.
_base_ = ["logits.py"]
logits = dict(logits=dict(type="mmdist.Module", source="decode_head.conv_seg"))
labels = dict(labels=dict(type="mmdist.Module", source="decode_head.loss_decode", what="inputs"))
distiller = dict(student_recorders=dict(**logits, **labels), teacher_recorders=logits)
