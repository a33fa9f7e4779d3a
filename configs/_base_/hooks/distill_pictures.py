# Image, label, both predictions, weights and KL side by side, in the work dir's vis_data/vis_image.
custom_hooks = [dict(type="mmdist.DistillVisualizationHook", interval=200)]
